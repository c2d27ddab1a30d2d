import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import manifest from '../package.json' with { type: 'json' };
import { extract } from './extract.ts';

/**
 * Writes what each entry point exports to api/*.api.md: `npm run api`. With --check, compares: part of `npm run check`.
 * Fails in either case where a public member has no docstring, or one that says nothing.
 */
const check = process.argv.includes('--check');

rmSync(fileURLToPath(new URL('../build/api', import.meta.url)), { recursive: true, force: true });
const changed: string[] = [];
const faults = new Set<string>();
for (const [path, target] of Object.entries(manifest.exports)) {
  if (typeof target === 'string') continue;
  const name = path === '.' ? 'index' : path.slice(2);
  const extracted = extract({ name, types: target.types }, { write: !check });
  if (extracted.changed) changed.push(`api/${name}.api.md`);
  for (const fault of extracted.faults) faults.add(fault);
}
if (changed.length > 0) {
  process.stdout.write(check ? `The API is not that of ${changed.join(', ')}:\n` : `Written: ${changed.join(', ')}\n`);
  if (check) process.stdout.write('If the change is meant, commit what `npm run api` writes.\n');
}
if (faults.size > 0) process.stdout.write(`Docstrings (${faults.size}):\n${[...faults].join('\n')}\n`);
process.exitCode = (check && changed.length > 0) || faults.size > 0 ? 1 : 0;
