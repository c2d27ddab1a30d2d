/** Rows that somebody else holds locked while they are revived: docs/concepts/timing.md#two-at-once. */
import { LockMode } from '@mikro-orm/core';
import { ByReferenceError } from 'mikro-orm-byref';
import { modelOf } from './fields.ts';
import { driver, has, onMysql } from '../support/driver.ts';
import type { Naming } from './versions.ts';
import type { World } from './world.ts';

/** Of which the holder lets go after the revive. */
export interface Held {
  readonly tokens: readonly Naming[];
  readonly isShared: boolean;
}

const WAITING = [LockMode.PESSIMISTIC_WRITE, LockMode.PESSIMISTIC_READ];
const FAILING = [LockMode.PESSIMISTIC_WRITE_OR_FAIL, LockMode.PESSIMISTIC_READ_OR_FAIL];
const SKIPPING = [LockMode.PESSIMISTIC_PARTIAL_WRITE, LockMode.PESSIMISTIC_PARTIAL_READ];
const SHARED = new Set([WAITING[1], FAILING[1], SKIPPING[1]]);

/** Those that the database has: MikroORM writes no shared ones without waiting that MySQL could read. */
export const lockModes: readonly LockMode[] = !has('rowLocks')
  ? []
  : [...WAITING, FAILING[0]!, SKIPPING[0]!, ...(onMysql ? [] : [FAILING[1]!, SKIPPING[1]!])];

export const skips = (mode: LockMode | undefined): boolean => mode !== undefined && SKIPPING.includes(mode);

/** Whether a row can't be locked, as somebody else holds it. */
export const isTaken = (held: Held | undefined, mode: LockMode | undefined, root: string, id: number): boolean =>
  held !== undefined &&
  mode !== undefined &&
  !(held.isShared && SHARED.has(mode)) &&
  held.tokens.some(([name, own]) => modelOf(name).root === root && own === id);

/** Where somebody else can hold rows: the programs have a connection of theirs on PostgreSQL alone. */
export const hasHolders = driver === 'postgresql';

/** Runs a revive in a transaction, with rows held by somebody else where that can be; none waits for them for long. */
export async function whileHeld(
  world: World,
  held: Held,
  revive: (held: Held | undefined) => Promise<unknown>,
): Promise<void> {
  const locks = held.tokens.map(
    ([name, id]) =>
      `select id from ${modelOf(name).tables[0]} where id = ${id} for ${held.isShared ? 'share' : 'update'}`,
  );
  const areHeld = await world.elsewhere('begin', ...locks);
  try {
    await world.execute('savepoint held');
    await world.execute(`set local lock_timeout = 20`);
    const outcome = await revive(areHeld ? held : undefined);
    const isAborted = outcome instanceof ByReferenceError && outcome.code === 'E_LOCKED';
    if (isAborted) await world.execute('rollback to savepoint held');
    await world.execute(`set local lock_timeout = 0`);
    await world.execute('release savepoint held');
  } finally {
    if (areHeld) await world.elsewhere('rollback');
  }
}
