/** `npm run build`: dist, and the decorators of TC39 as tsc compiles them, which the tests import. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

// Where the package is packed already, it is built, and other lanes read these files right now.
const isBuilt = process.env['BYREF_TARBALL'] !== undefined && existsSync(join(root, 'dist'));
if (!isBuilt) {
  for (const output of ['dist', 'build/tc39']) rmSync(join(root, output), { recursive: true, force: true });
  for (const project of ['tsconfig.build.json', 'fixtures/tc39/tsconfig.json']) {
    const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, project)];
    const { status } = spawnSync(process.execPath, tsc, { stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}
