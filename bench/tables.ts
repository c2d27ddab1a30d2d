/** Tables, whose first row is the head and whose first `texts` columns are text, and the block of a page that holds them. */

type Rows = readonly (readonly string[])[];

/** For a terminal. */
export const table = (rows: Rows, texts = 1): string =>
  aligned(rows, texts)
    .map((row) => row.join('  '))
    .join('\n');

/** As `npm run format` leaves it. */
export function markdownTable(rows: Rows, texts = 1): string {
  const [head, ...body] = aligned(rows, texts);
  const rule = head!.map(({ length }, column) => (column < texts ? '-'.repeat(length) : `${'-'.repeat(length - 1)}:`));
  return [head!, rule, ...body].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** Cells as wide as their column: text from the left, numbers from the right. */
function aligned(rows: Rows, texts: number): string[][] {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => (column < texts ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))),
  );
}

/** The page with other content between its `<!-- name -->` and `<!-- /name -->`. */
export function replaceBlock(page: string, name: string, content: string): string {
  const [opening, closing] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, block, ...more] = page.split(opening);
  const [, after, ...others] = block?.split(closing) ?? [];
  if (after === undefined || more.length + others.length > 0) {
    throw new Error(`Expected one ${opening}, and then one ${closing}.`);
  }
  return `${before}${opening}\n\n${content}\n\n${closing}${after}`;
}
