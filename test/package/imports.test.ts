import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from '@jest/globals';
import { build, type BuildOptions, type Metafile } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What each entry point imports when it is imported. */
const IMPORTED = [
  ['index', '@mikro-orm/core'],
  ['bullmq', '@mikro-orm/core', 'bullmq'],
  ['cache', '@mikro-orm/core'],
  ['class-transformer', '@mikro-orm/core', 'class-transformer'],
  ['graphile-worker', '@mikro-orm/core', 'graphile-worker'],
  ['http', '@mikro-orm/core'],
  ['locks'],
  ['microservices', '@mikro-orm/core', '@nestjs/common', '@nestjs/microservices', 'rxjs'],
  ['nestjs', '@mikro-orm/core', '@mikro-orm/nestjs', '@nestjs/common', '@nestjs/core'],
  ['outbox', '@mikro-orm/core'],
  ['pg-boss', '@mikro-orm/core'],
  ['tasks', '@mikro-orm/core'],
  ['testing', '@mikro-orm/core'],
] as const;
/** What is loaded for those who ask for it, and what a bundler looks for as well; none has to be there. */
const ON_DEMAND: Readonly<Record<string, readonly string[]>> = { nestjs: ['@nestjs/bullmq', 'bullmq'] };
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

/** The packages that the imports of a module lead to, of these kinds. */
function packagesOf(file: string, kinds: readonly string[], seen = new Set<string>()): string[] {
  seen.add(file);
  const found = modules[file]!.imports.filter(({ kind }) => kinds.includes(kind)).flatMap((imported) => {
    if (imported.external !== true) return seen.has(imported.path) ? [] : packagesOf(imported.path, kinds, seen);
    return imported.path.startsWith('node:') ? [] : [/^(?:@[^/]+\/)?[^/]+/.exec(imported.path)![0]];
  });
  return [...new Set(found)].sort();
}

test.each(IMPORTED.map(([name, ...packages], index) => ({ name, packages, file: files[index]! })))(
  '$name imports $packages and nothing else',
  ({ name, packages, file }) => {
    expect(packagesOf(file, ['import-statement'])).toEqual(packages);
    const all = [...new Set([...packages, ...(ON_DEMAND[name] ?? [])])].sort();
    expect(packagesOf(file, ['import-statement', 'dynamic-import', 'require-call', 'require-resolve'])).toEqual(all);
  },
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

test('the build in CommonJS gives the same names', async () => {
  const code = `
    const namesOf = (module) => Object.keys(module).filter((name) => name !== '__esModule').sort();
    const modules = ${JSON.stringify(files)}.map((file) => [namesOf(require('./' + file)), namesOf(require('./' + file.replace('dist/', 'dist/commonjs/')))]);
    console.log(JSON.stringify(modules));`;
  const args = ['--input-type=commonjs', '--eval', code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  for (const [module, commonJs] of JSON.parse(stdout) as string[][]) expect(commonJs).toEqual(module);
});

test('the root is at most 139,000 bytes minified, and 50,000 compressed', async () => {
  const { outputFiles } = await build({
    ...shared,
    entryPoints: ['dist/index.js'],
    minify: true,
    external: ['@mikro-orm/core'],
  });
  const code = outputFiles[0]!.contents;
  expect(code.length).toBeLessThanOrEqual(139_000);
  expect(gzipSync(code).length).toBeLessThanOrEqual(50_000);
});

test('in a Node that is too old the package says so when it is imported', async () => {
  const older = 'delete Map.groupBy; delete Promise.withResolvers;';
  const script = `${older} await import('mikro-orm-byref').catch(({ code, message }) => console.log(code, message));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root });
  expect(stdout).toBe(
    `E_UNSUPPORTED Node ${process.version} is not supported here; mikro-orm-byref needs Node 22.17 or newer.\n`,
  );
});
