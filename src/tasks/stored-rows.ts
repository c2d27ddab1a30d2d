import type { StoredJob } from './engine.ts';

/** Jobs that are read from one table at a time: enough for few statements, few enough for little memory. */
export const PORTION = 1_000;

/** Rows in the order of a key, a portion after the other: `next` reads those after one. */
export async function* portions<Row extends object>(
  next: (after: Row | undefined) => Promise<readonly Row[]>,
  jobOf: (row: Row) => StoredJob,
): AsyncGenerator<readonly StoredJob[]> {
  let after: Row | undefined;
  for (;;) {
    const rows = await next(after);
    if (rows.length > 0) yield rows.map((row) => jobOf(row));
    if (rows.length < PORTION) return;
    after = rows.at(-1);
  }
}
