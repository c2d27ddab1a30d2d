import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from '@jest/globals';
import { build, type BuildOptions, type Metafile } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What each entry point imports when it is imported; everything else is loaded by those who ask for it. */
const IMPORTED = [
  ['index', '@mikro-orm/core'],
  ['bullmq', '@mikro-orm/core', 'bullmq'],
  ['cache', '@mikro-orm/core'],
  ['class-transformer', '@mikro-orm/core', 'class-transformer'],
  ['graphile-worker', '@mikro-orm/core', 'graphile-worker'],
  ['http'],
  ['locks'],
  ['nestjs', '@mikro-orm/core', '@mikro-orm/nestjs', '@nestjs/common', '@nestjs/core'],
  ['pg-boss', '@mikro-orm/core'],
  ['tasks', '@mikro-orm/core'],
  ['testing', '@mikro-orm/core'],
] as const;
const files = IMPORTED.map(([name]) => (name === 'index' ? 'dist/index.js' : `dist/${name}/index.js`));
const specifiers = IMPORTED.map(([name]) => (name === 'index' ? 'mikro-orm-byref' : `mikro-orm-byref/${name}`));

const shared = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  write: false,
} satisfies BuildOptions;
let modules: Metafile['inputs'];

beforeAll(async () => {
  const bundled = await build({ ...shared, entryPoints: files, outdir: 'build', packages: 'external', metafile: true });
  modules = bundled.metafile.inputs;
});

/** The packages that the static imports of a module lead to. */
function packagesOf(file: string, seen = new Set<string>()): string[] {
  seen.add(file);
  const found = modules[file]!.imports.filter(({ kind }) => kind === 'import-statement').flatMap((imported) => {
    if (imported.external !== true) return seen.has(imported.path) ? [] : packagesOf(imported.path, seen);
    return imported.path.startsWith('node:') ? [] : [/^(?:@[^/]+\/)?[^/]+/.exec(imported.path)![0]];
  });
  return [...new Set(found)].sort();
}

test.each(IMPORTED.map(([name, ...packages], index) => ({ name, packages, file: files[index]! })))(
  '$name imports $packages and nothing else',
  ({ packages, file }) => expect(packagesOf(file)).toEqual(packages),
);

test('CommonJS can require every entry point, and gets what import gets', async () => {
  const code = `
    const required = ${JSON.stringify(specifiers)}.map((name) => [name, Object.keys(require(name)).sort()]);
    Promise.all(required.map(async ([name]) => [name, Object.keys(await import(name)).sort()])).then((imported) =>
      console.log(JSON.stringify({ required, imported })));`;
  const args = ['--input-type=commonjs', '--eval', code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const { required, imported } = JSON.parse(stdout) as Record<string, [string, string[]][]>;
  expect(required).toEqual(imported);
  expect(required!.every(([, names]) => names.length > 0)).toBe(true);
});

test('the root is at most 114,000 bytes minified, and 41,500 compressed', async () => {
  const { outputFiles } = await build({
    ...shared,
    entryPoints: ['dist/index.js'],
    minify: true,
    // What is loaded for the option `as` only is not bundled, which esbuild warns of.
    external: ['@mikro-orm/core', './class-transformer/*'],
    logLevel: 'silent',
  });
  const code = outputFiles[0]!.contents;
  expect(code.length).toBeLessThanOrEqual(114_000);
  expect(gzipSync(code).length).toBeLessThanOrEqual(41_500);
});

test('in a Node that is too old the package says so when it is imported', async () => {
  const older = 'delete Map.groupBy; delete Promise.withResolvers;';
  const script = `${older} await import('mikro-orm-byref').catch(({ code, message }) => console.log(code, message));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root });
  expect(stdout).toBe(
    `E_UNSUPPORTED Node ${process.version} is not supported here; mikro-orm-byref needs Node 22.17 or newer.\n`,
  );
});
