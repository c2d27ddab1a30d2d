/** `npm run build`: dist, from src alone. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

// Where the package is packed already, it is built, and other lanes read these files right now.
const isBuilt = process.env['BYREF_TARBALL'] !== undefined && existsSync(join(root, 'dist'));
if (!isBuilt) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')];
  process.exitCode = spawnSync(process.execPath, tsc, { stdio: 'inherit' }).status ?? 1;
}
