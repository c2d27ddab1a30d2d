import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';
import { examples, pages } from '../support/examples.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = `${root}build/readme`;

/** What the compiler says of the folder. */
async function compile(...flags: string[]): Promise<string> {
  const tsc = [`${root}node_modules/typescript/bin/tsc`, '-p', folder, ...flags];
  return run(process.execPath, tsc).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );
}

/** The pages' code against the built package; `npm run test:examples` runs it. */
beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  // Vitest is none of the repository’s own packages, nor is MikroORM 6.
  const compiled = examples.filter(({ runner, major }) => runner !== 'vitest' && major !== 6);
  for (const { name, code } of compiled) writeFileSync(`${folder}/${name}.ts`, code);
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { noPropertyAccessFromIndexSignature: false },
    include: ['*.ts'],
    exclude: [],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
});

test('every TypeScript block is compiled', async () => {
  expect(pages.join('\n').match(/^```ts/gm)).toHaveLength(examples.length);
  expect(new Set(examples.map(({ name }) => name)).size).toBe(examples.length);
  expect(await compile()).toBe('');
});

test('the published declarations have no errors of their own', async () => {
  const errors = await compile('--skipLibCheck', 'false');
  expect(errors.split('\n').filter((line) => /^(?:\.\.\/)*dist\//.test(line))).toEqual([]);
});

test('every example prints something, but tests and the modules of others', () => {
  const modules = examples.filter(({ prints, runner }) => prints.length === 0 && runner === undefined);
  expect(modules.map(({ name }) => name).toSorted()).toEqual([
    'cached-page',
    'model',
    'queue-types',
    'queues',
    'send',
    'shop',
    'telemetry',
    'work',
  ]);
});

test('what a page does in a transaction, it does with its EntityManager: a fork from outside has one of its own', () => {
  for (const { name, code } of examples)
    expect([name, code]).not.toEqual([
      name,
      expect.stringMatching(/transactional\(async \(\) =>[^;]*\bem\.(?:create|flush)/),
    ]);
});

test('the tables of errors and options are complete', async () => {
  const errors = readFileSync(`${root}docs/reference/errors.md`, 'utf8');
  const optionsPage = readFileSync(`${root}docs/reference/options.md`, 'utf8');
  const source = readFileSync(`${root}src/errors.ts`, 'utf8');
  const codes = new Set(source.match(/'E_[A-Z_]+'/g)!.map((code) => code.slice(1, -1)));
  for (const code of codes) expect(errors).toMatch(new RegExp(`\\| ${code} +\\|`));
  const checks = readFileSync(`${root}src/options.ts`, 'utf8');
  const options = checks.match(/DESERIALIZE_CHECKS.*?\n};/s)![0] + checks.match(/DEFAULTS_CHECKS: .*?\n};/s)![0];
  for (const [, name] of options.matchAll(/^ {2}(\w+):/gm))
    expect(optionsPage).toMatch(new RegExp(`\\| .*\`${name}\``));
});
