import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

async function packedFiles(): Promise<string[]> {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: root, shell: process.platform === 'win32' });
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  return packed!.files.map(({ path }) => path).sort();
}

test('the package holds the build, the JSON Schema, README and LICENSE, and nothing else', async () => {
  const modules = globSync('**/*.ts', { cwd: `${root}src`, exclude: ['**/*.d.ts'] }).map((file) =>
    file.replaceAll('\\', '/').slice(0, -3),
  );
  const build = modules.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]);
  const others = ['LICENSE', 'README.md', 'package.json', 'schema/wire-v1.schema.json'];
  expect(await packedFiles()).toEqual([...build, ...others].sort());
});

test('the build names no path of the machine that made it', () => {
  for (const file of globSync('dist/**/*', { cwd: root })) {
    if (!/\.(?:js|ts)$/.test(file)) continue;
    const text = readFileSync(`${root}${file}`, 'utf8');
    expect([file, text.includes(root), text.includes('sourceMappingURL')]).toEqual([file, false, false]);
  }
});
