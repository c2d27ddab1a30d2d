/** `npm run build`: dist, from src alone; its copy in CommonJS is for tools that can't `require()` modules, as Jest. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const tsc = join(root, 'node_modules/typescript/bin/tsc');

// Where the package is packed already, it is built, and other lanes read these files right now.
const isBuilt = process.env['BYREF_TARBALL'] !== undefined && existsSync(join(root, 'dist'));
if (!isBuilt) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  for (const config of ['tsconfig.build.json', 'tsconfig.commonjs.json']) {
    execFileSync(process.execPath, [tsc, '-p', join(root, config)], { stdio: 'inherit' });
  }
  writeFileSync(join(root, 'dist/commonjs/package.json'), '{ "type": "commonjs" }\n');
}
