import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourceRoot: string;
}

const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
const { stdout } = await promisify(execFile)('npm', args, { cwd: root, shell: process.platform === 'win32' });
const [{ files }] = Object.values(JSON.parse(stdout) as Record<string, Packed>) as [Packed];
const packed = files.map(({ path }) => path).sort();

const sources = globSync('src/**/*.ts', { cwd: root }).map((file) => file.replaceAll('\\', '/'));
/** What is built, without its endings. */
const modules = sources
  .filter((file) => !file.endsWith('.d.ts'))
  .map((file) => file.slice('src/'.length, -'.ts'.length));
const BUILT = ['.js', '.d.ts'] as const;

test('the package holds the build with its source, the JSON Schema, what errors refer to, README and LICENSE, and nothing else', () => {
  const build = modules.flatMap((name) =>
    BUILT.flatMap((ending) => [`dist/${name}${ending}`, `dist/${name}${ending}.map`]),
  );
  const page = 'docs/operations/troubleshooting.md';
  const others = ['LICENSE', 'README.md', page, 'package.json', 'schema/wire-v1.schema.json'];
  expect(packed).toEqual([...build, ...sources, ...others].sort());
});

test.each(BUILT)('a debugger or an editor gets from each %s to its source, which the package holds', (ending) => {
  for (const name of modules) {
    const file = `dist/${name}${ending}`;
    const [, url] = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(readFileSync(`${root}${file}`, 'utf8')) ?? [];
    const map = posix.join(posix.dirname(file), url ?? 'no map');
    const { sources: urls, sourceRoot } = JSON.parse(readFileSync(`${root}${map}`, 'utf8')) as SourceMap;
    const found = urls.map((source) => posix.join(posix.dirname(map), sourceRoot, source));
    expect([file, found]).toEqual([file, [`src/${name}.ts`]]);
    expect(packed).toEqual(expect.arrayContaining([map, ...found]));
  }
});

test('the build names no path of the machine that made it', () => {
  const built = globSync('dist/**/*.{js,ts,map}', { cwd: root });
  expect(built.length).toBe(modules.length * BUILT.length * 2);
  expect(built.filter((file) => readFileSync(`${root}${file}`, 'utf8').includes(root))).toEqual([]);
});
