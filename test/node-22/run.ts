import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Runs Jest with the Node 22 that is locked here, apart from the Node 24 of everything else: `npm run test:node-22`. */
const root = fileURLToPath(new URL('../../', import.meta.url));
const bin = join(root, 'test/node-22/node_modules/node/bin');
const node = join(bin, process.platform === 'win32' ? 'node.exe' : 'node');

function run(command: string, args: readonly string[], options: { cwd?: string; shell?: boolean } = {}): void {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}` };
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env, ...options });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync(node)) run('npm', ['ci'], { cwd: join(root, 'test/node-22'), shell: process.platform === 'win32' });
run(node, ['--version']);
run(node, [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
  ...process.argv.slice(2),
]);
