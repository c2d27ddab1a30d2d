/**
 * `npm run test:types:versions`: compiles the type tests, against the package as it is built, with each version of
 * TypeScript that its users may have.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import manifest from './package.json' with { type: 'json' };

const here = import.meta.dirname;
const versions = Object.entries(manifest.dependencies).map(([name, specifier]) => ({
  version: specifier.replace('npm:typescript@', ''),
  folder: join(here, 'node_modules', name),
}));

function run(command: string, ...args: string[]): number {
  const { status, error } = spawnSync(command, args, {
    cwd: here,
    stdio: 'inherit',
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (error !== undefined) throw error;
  return status ?? 1;
}

function isInstalled({ version, folder }: (typeof versions)[number]): boolean {
  try {
    return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version === version;
  } catch {
    return false;
  }
}

if (!versions.every(isInstalled) && run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error') !== 0) {
  throw new Error(`npm ci failed in ${here}`);
}
const own = { version: 'the repository’s own', folder: join(here, '../../../node_modules/typescript') };
for (const { version, folder } of [...versions, own]) {
  const isGood = run(process.execPath, join(folder, 'bin/tsc'), '-p', here) === 0;
  console.log(`${isGood ? '✓' : '✗'} the types compile with TypeScript: ${version}`);
  if (!isGood) process.exitCode = 1;
}
