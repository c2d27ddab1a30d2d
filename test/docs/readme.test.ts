import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MikroORM } from '@mikro-orm/postgresql';
import { testWith } from '../support/test-with.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(`${root}README.md`, 'utf8');
const guides = readdirSync(`${root}docs`)
  .filter((name) => name.endsWith('.md'))
  .toSorted();
/** The README, whose model.ts the guides' blocks import, and docs/*.md. */
const pages = [readme, ...guides.map((name) => readFileSync(`${root}docs/${name}`, 'utf8'))].join('\n');
const folder = `${root}build/readme`;

/** The blocks that start with a comment naming their file: `// reminder.ts`. */
const blocks = Array.from(pages.matchAll(/```ts\n\/\/ (\S+)\.ts\n(.*?)```/gs), ([, name, code]) => ({
  name: name!,
  code: code!,
}));
const programs = blocks.filter(({ code }) => code.includes('// →'));

/** The databases that the pages name, under names of this run: a reader may have made them for real. */
const suffix = randomBytes(4).toString('hex');
const databases = [...new Set(pages.match(/(?<=dbName: ')byref_\w+(?=')/g))].map((name) => `${name}_${suffix}`);

/** What the compiler says of the folder. */
async function compile(...flags: string[]): Promise<string> {
  const tsc = [`${root}node_modules/typescript/bin/tsc`, '-p', folder, ...flags];
  return run(process.execPath, tsc).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );
}

/** Runs the pages' code as a user does: compiled by tsc, against the built package. */
beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, code } of blocks) {
    writeFileSync(`${folder}/${name}.ts`, code.replaceAll(/'(byref_\w+)'/g, `'$1_${suffix}'`));
  }
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { noEmit: false, outDir: 'out', rootDir: '.', noPropertyAccessFromIndexSignature: false },
    include: ['*.ts'],
    exclude: [],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
  const errors = await compile();
  if (errors !== '') throw new Error(errors);
}, 60_000);

afterAll(async () => {
  for (const dbName of databases) {
    const orm = new MikroORM({
      entities: [],
      discovery: { warnWhenNoEntities: false },
      clientUrl: process.env['TEST_DATABASE_URL']!,
      dbName,
    });
    await orm.schema.dropDatabase();
    await orm.close();
  }
});

test('every TypeScript block is compiled', () => {
  expect(pages.match(/```ts/g)).toHaveLength(blocks.length);
  expect(new Set(blocks.map(({ name }) => name)).size).toBe(blocks.length);
  expect(programs.map(({ name }) => name)).toEqual([
    'reminder',
    'usage',
    'values',
    'signing',
    'jobs',
    'bullmq',
    'locks',
    'cache',
    'tenants',
    'rest',
    // docs/coming-from.md
    'rails',
    'laravel',
    'celery',
    // docs/timing.md
    'races',
    'drift',
    'unflushed',
    'row-locks',
    'retries',
  ]);
});

test('the published declarations have no errors of their own', async () => {
  const errors = await compile('--noEmit', '--skipLibCheck', 'false');
  expect(errors.split('\n').filter((line) => /^(?:\.\.\/)*dist\//.test(line))).toEqual([]);
});

for (const { name, code } of programs) {
  const needs = code.includes('REDIS_URL') ? (['redis-server'] as const) : [];
  testWith(...needs)(`${name}.ts prints what it says`, async () => {
    const expected = Array.from(code.matchAll(/\/\/ → (.*)/g), ([, line]) => line);
    const { TEST_DATABASE_URL: DATABASE_URL, TEST_REDIS_URL: REDIS_URL } = process.env;
    const env = { ...process.env, DATABASE_URL, REDIS_URL };
    const { stdout } = await run(process.execPath, [`${folder}/out/${name}.js`], { env });
    expect(stdout.trimEnd().split('\n')).toEqual(expected);
  });
}

test('the tables of errors and options are complete', async () => {
  const source = readFileSync(`${root}src/errors.ts`, 'utf8');
  const codes = new Set(source.match(/'E_[A-Z_]+'/g)!.map((code) => code.slice(1, -1)));
  for (const code of codes) expect(readme).toMatch(new RegExp(`\\| ${code} +\\|`));
  const checks = readFileSync(`${root}src/options.ts`, 'utf8');
  const options = checks.match(/DESERIALIZE_CHECKS.*?\n};/s)![0] + checks.match(/DEFAULTS_CHECKS: .*?\n};/s)![0];
  for (const [, name] of options.matchAll(/^ {2}(\w+):/gm)) expect(readme).toMatch(new RegExp(`\\| .*\`${name}\``));
});
