import { stripVTControlCharacters } from 'node:util';

/** What a lane found. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
  /** For want of a server. */
  readonly leftOut: number;
}

/** The sums that Jest prints: `Tests:       1 failed, 92 skipped, 643 passed, 736 total`. */
const JEST_SUM = /^Tests: +(.+), \d+ total$/gm;
/** And the one of our reporter. */
const LEFT_OUT = /^Left out for want of a server: (\d+) tests/gm;

/** Of all runs of Jest in a lane's output. A lane without any is one check; one that failed for another reason counts that. */
export function countOf(output: string, isGood: boolean): Count {
  const text = stripVTControlCharacters(output);
  const sums = Array.from(text.matchAll(JEST_SUM), ([, sum]) => sum!);
  const total = (what: string): number =>
    sums.reduce((count, sum) => count + Number(new RegExp(`(\\d+) ${what}`).exec(sum)?.[1] ?? 0), 0);
  return {
    passed: isGood && sums.length === 0 ? 1 : total('passed'),
    failed: isGood ? 0 : Math.max(1, total('failed')),
    leftOut: Array.from(text.matchAll(LEFT_OUT)).reduce((count, [, number]) => count + Number(number), 0),
  };
}

export function sumOf(counts: readonly Count[]): Count {
  const total = (column: keyof Count): number => counts.reduce((sum, count) => sum + count[column], 0);
  return { passed: total('passed'), failed: total('failed'), leftOut: total('leftOut') };
}
