import { readFileSync } from 'node:fs';

/** What docs/reference/engines.md promises of an engine, as its suite asks for it, and time for a busy machine. */
export function promisesOf(engine: string) {
  const says = engineTable(engine);
  return {
    isTransactional: says['jobs are part of the transaction ✓']!.startsWith('yes'),
    completesInTransaction: says['`transactional: true`: effects exactly once ✓'] === 'yes',
    postpones: says['attempts that reading from a broken database costs ✓'] === '0',
    schedules: says['schedules ✓'] !== 'none',
    timeoutMs: 60_000,
  };
}

/** What its table says of an engine, by the name of the row. */
function engineTable(engine: string): Readonly<Record<string, string>> {
  const page = readFileSync(new URL('../../docs/reference/engines.md', import.meta.url), 'utf8');
  const [head, , ...rows] = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const column = head!.indexOf(engine);
  if (column === -1) throw new Error(`docs/reference/engines.md has no column ${engine}`);
  return Object.fromEntries(rows.map((row) => [row[0]!, row[column]!]));
}
