/** Bundles programs by each configuration of docs/guides/bundlers.md, and runs them, without class-transformer and with it. */
import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tarball } from '../lanes/tarball.ts';
import { type Example, examples, installsOf, readme, withDatabasesOf } from '../support/examples.ts';
import { type Databases, withDatabases } from './databases.ts';
import { install, project, run } from './project.ts';
import { mikroOrm6Of, quickStart, runExample } from './quick-start.ts';

const page = readFileSync(new URL('../../docs/guides/bundlers.md', import.meta.url), 'utf8');
const TOOLS = /npm i (--save-dev [^`]+)/.exec(page)![1]!;
const [PEERS] = installsOf(page) as [string];
const configurations = Array.from(page.matchAll(/```js\n\/\/ (\S+)\n(.*?)```/gs), ([, name, code]) => [name!, code!]);
const [model, dto] = ['model', 'bundled-dto'].map((name) => examples.find((example) => example.name === name)!);

/** What makes a bundle, and the bundle, as the page has them. */
const BUNDLERS = [
  [['node', 'esbuild.config.js'], 'out/esbuild.js'],
  [['npx', 'webpack'], 'out/webpack.js'],
  [['npx', 'vite', 'build'], 'out/vite/reminder.js'],
] as const;
for (const [[...command], bundle] of BUNDLERS) assert(page.includes(`${command.join(' ')} && node ${bundle}`));

/** Makes each bundle of an example in the place of `reminder.ts`, and runs it. */
async function bundles(cwd: string, example: Example, { suffix, env }: Databases): Promise<void> {
  const { name } = example;
  const code = withDatabasesOf(suffix, example.code);
  writeFileSync(join(cwd, `${name}.ts`), code);
  writeFileSync(
    join(cwd, `${name}.js`),
    stripTypeScriptTypes(code).replaceAll("from './model.ts'", "from './model.js'"),
  );
  for (const [file, text] of configurations) writeFileSync(join(cwd, file!), text!.replaceAll('reminder', name));
  for (const [[command, ...args], bundle] of BUNDLERS) {
    await run(cwd, command, args);
    await runExample(example, cwd, process.execPath, [bundle.replace('reminder', name)], env);
  }
}

/** No class-transformer is there for MikroORM 6: the root is bundled without it. */
async function withMikroOrm6(folder: string, packed: string, databases: Databases): Promise<void> {
  const packages = [mikroOrm6Of('@mikro-orm/core'), mikroOrm6Of('@mikro-orm/postgresql')];
  process.stdout.write(`npm install ${[...packages, TOOLS].join(' ')}\n`);
  const cwd = await project(folder, 'mikro-orm-6', [packed, ...packages, ...TOOLS.split(' ')]);
  await bundles(cwd, quickStart, { ...databases, env: { ...databases.env, MIKRO_ORM_ALLOW_VERSION_MISMATCH: '1' } });
}

async function withMikroOrm7(folder: string, packed: string, databases: Databases): Promise<void> {
  const [line] = installsOf(readme);
  process.stdout.write(`npm install ${line} ${TOOLS}\n`);
  const packages = line!.split(' ').map((name) => (name === 'mikro-orm-byref' ? packed : name));
  const cwd = await project(folder, 'mikro-orm-7', [...packages, ...TOOLS.split(' ')]);
  await bundles(cwd, quickStart, databases);

  process.stdout.write(`npm install ${PEERS}\n`);
  await install(cwd, PEERS.split(' '));
  await bundles(cwd, quickStart, databases);
  const code = withDatabasesOf(databases.suffix, model!.code);
  writeFileSync(join(cwd, 'model.ts'), code);
  writeFileSync(join(cwd, 'model.js'), stripTypeScriptTypes(code));
  await bundles(cwd, dto!, databases);
}

const folder = mkdtempSync(join(tmpdir(), 'byref-bundlers-'));
try {
  const packed = tarball(folder);
  await withDatabases(async (databases) => {
    await withMikroOrm7(folder, packed, databases);
    await withMikroOrm6(folder, packed, databases);
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
