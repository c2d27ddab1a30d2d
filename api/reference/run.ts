/**
 * `npm run docs:api`: makes the site's API reference, docs/reference/api, of the docstrings in `src`, with its sidebar in
 * `typedoc-sidebar.json` beside it. TypeDoc has node_modules of its own here, with the last TypeScript that it takes.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import manifest from './package.json' with { type: 'json' };

const here = import.meta.dirname;

function run(command: string, ...args: string[]): void {
  const shell = process.platform === 'win32' && command === 'npm';
  const { status, error } = spawnSync(command, args, { cwd: here, stdio: 'inherit', shell });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed in ${here}`);
}

function isInstalled([name, version]: [string, string]): boolean {
  try {
    const text = readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8');
    return (JSON.parse(text) as { version: string }).version === version;
  } catch {
    return false;
  }
}

if (!Object.entries(manifest.dependencies).every(isInstalled)) {
  run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
}
run(process.execPath, 'node_modules/typedoc/bin/typedoc', '--options', 'typedoc.json');
