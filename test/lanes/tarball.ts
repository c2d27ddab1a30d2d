import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The package as npm would publish it: the one at BYREF_TARBALL, or else the build of now, packed into the folder. */
export function tarball(folder: string): string {
  const given = process.env['BYREF_TARBALL'];
  if (given !== undefined && given !== '') return resolve(given);
  const args = ['pack', '--ignore-scripts', '--json', '--loglevel=error', '--pack-destination', folder];
  const packed = execFileSync('npm', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    shell: process.platform === 'win32',
  });
  const [{ filename }] = Object.values(JSON.parse(packed) as Record<string, { filename: string }>) as [
    { filename: string },
  ];
  return join(folder, filename);
}
