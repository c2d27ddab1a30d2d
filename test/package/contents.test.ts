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

type Exports = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

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
/** Where the file of a module is; there is no command for CommonJS. */
const BUILT = {
  'dist/….js': (name: string) => `dist/${name}.js`,
  'dist/….d.ts': (name: string) => `dist/${name}.d.ts`,
  'dist/commonjs/….js': (name: string) => (name.startsWith('cli/') ? undefined : `dist/commonjs/${name}.js`),
} as const;
const built = Object.values(BUILT).flatMap((fileOf) => modules.flatMap((name) => fileOf(name) ?? []));

test('the package holds the build with its source, the JSON Schema, what errors refer to, README and LICENSE, and nothing else', () => {
  const build = built.flatMap((file) => [file, `${file}.map`]);
  const page = 'docs/operations/troubleshooting.md';
  const commonJs = 'dist/commonjs/package.json';
  const others = ['LICENSE', 'README.md', page, 'package.json', 'schema/wire-v1.schema.json', commonJs];
  expect(packed).toEqual([...build, ...sources, ...others].sort());
});

test('what can require() modules gets the modules, so that there is one copy; CommonJS is for Jest and its like', () => {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: Exports };
  for (const [path, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue;
    const name = path === '.' ? 'index' : `${path.slice('./'.length)}/index`;
    const module = `./dist/${name}.js`;
    // In this order: Node, Deno and webpack; esbuild, Vite and Rollup; Bun.
    expect([path, Object.entries(target)]).toEqual([
      path,
      Object.entries({
        types: `./dist/${name}.d.ts`,
        'module-sync': module,
        module,
        bun: module,
        require: `./dist/commonjs/${name}.js`,
        default: module,
      }),
    ]);
  }
});

test.each(Object.entries(BUILT))('a debugger or an editor gets from each %s to its source', (_files, fileOf) => {
  for (const name of modules) {
    const file = fileOf(name);
    if (file === undefined) continue;
    const [, url] = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(readFileSync(`${root}${file}`, 'utf8')) ?? [];
    const map = posix.join(posix.dirname(file), url ?? 'no map');
    const { sources: urls, sourceRoot } = JSON.parse(readFileSync(`${root}${map}`, 'utf8')) as SourceMap;
    const found = urls.map((source) => posix.join(posix.dirname(map), sourceRoot, source));
    expect([file, found]).toEqual([file, [`src/${name}.ts`]]);
    expect(packed).toEqual(expect.arrayContaining([map, ...found]));
  }
});

test('the build names no path of the machine that made it', () => {
  const files = globSync('dist/**/*.{js,ts,map}', { cwd: root });
  expect(files.length).toBe(built.length * 2);
  expect(files.filter((file) => readFileSync(`${root}${file}`, 'utf8').includes(root))).toEqual([]);
});
