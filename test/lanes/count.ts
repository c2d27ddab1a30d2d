import { stripVTControlCharacters } from 'node:util';

/** What a lane found. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
  /** Tests that were skipped, each with its reason in its name. */
  readonly leftOut: number;
}

/** The sums that Jest prints: `Tests:       1 failed, 92 skipped, 643 passed, 736 total`. */
const JEST_SUM = /^Tests: +(.+), \d+ total$/gm;
const COLUMN = { passed: 'passed', failed: 'failed', skipped: 'leftOut', todo: 'leftOut' } as const;

/** Of all runs of Jest in a lane's output. A lane without any is one check; one that failed for another reason counts that. */
export function countOf(output: string, isGood: boolean): Count {
  const count = { passed: 0, failed: 0, leftOut: 0 };
  for (const [, parts] of stripVTControlCharacters(output).matchAll(JEST_SUM)) {
    for (const [, number, what] of parts!.matchAll(/(\d+) (passed|failed|skipped|todo)/g)) {
      count[COLUMN[what as keyof typeof COLUMN]] += Number(number);
    }
  }
  if (isGood && count.passed + count.leftOut === 0) count.passed = 1;
  if (!isGood && count.failed === 0) count.failed = 1;
  return count;
}

export function sumOf(counts: readonly Count[]): Count {
  const total = (column: keyof Count): number => counts.reduce((sum, count) => sum + count[column], 0);
  return { passed: total('passed'), failed: total('failed'), leftOut: total('leftOut') };
}
