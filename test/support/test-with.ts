import { describe, test } from '@jest/globals';
import type { ContractCase } from 'mikro-orm-byref/testing';
import { lack, type Need } from './driver.ts';

/** A test for the databases and machines that have all of `needs`; on others it is reported as skipped, with the reason. */
export function testWith(...needs: Need[]): (name: string, run: () => unknown) => void {
  const reason = lack(needs);
  return (name, run) =>
    reason === undefined
      ? test(name, async () => void (await run()))
      : test.skip(`${name} (${reason})`, async () => void (await run()));
}

/** The same for a group of tests. */
export function describeWith(...needs: Need[]): (name: string, register: () => void) => void {
  const reason = lack(needs);
  return (name, register) =>
    reason === undefined ? describe(name, register) : describe.skip(`${name} (${reason})`, register);
}

/** Cases of the contracts in `mikro-orm-byref/testing` that need more than others. */
const CASE_NEEDS: Readonly<Record<string, readonly Need[]>> = {
  'the transaction is that of the EntityManager, or of the entities; two are refused': ['connections'],
};

export function testCases(cases: readonly ContractCase[]): void {
  for (const { name, run } of cases) testWith(...(CASE_NEEDS[name] ?? []))(name, run);
}
