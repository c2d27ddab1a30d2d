import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(`${root}README.md`, 'utf8');
const folder = `${root}build/readme`;

/** The blocks that start with a comment naming their file: `// reminder.ts`. */
const blocks = Array.from(readme.matchAll(/```ts\n\/\/ (\S+)\.ts\n(.*?)```/gs), ([, name, code]) => ({
  name: name!,
  code: code!,
}));
const programs = blocks.filter(({ code }) => code.includes('// →'));

/** What the compiler says of the folder. */
async function compile(...flags: string[]): Promise<string> {
  const tsc = [`${root}node_modules/typescript/bin/tsc`, '-p', folder, ...flags];
  return run(process.execPath, tsc).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );
}

/** Runs the README's code as a user does: compiled by tsc, against the built package. */
beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, code } of blocks) writeFileSync(`${folder}/${name}.ts`, code);
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

test('every TypeScript block is compiled', () => {
  expect(readme.match(/```ts/g)).toHaveLength(blocks.length);
  expect(programs.map(({ name }) => name)).toEqual(['reminder', 'usage', 'rest']);
});

test('the published declarations have no errors of their own', async () => {
  const errors = await compile('--noEmit', '--skipLibCheck', 'false');
  expect(errors.split('\n').filter((line) => line.includes('dist/'))).toEqual([]);
});

test.each(programs)('$name.ts prints what it says', async ({ name, code }) => {
  const expected = Array.from(code.matchAll(/\/\/ → (.*)/g), ([, line]) => line);
  const env = { ...process.env, DATABASE_URL: process.env['TEST_DATABASE_URL'] };
  const { stdout } = await run(process.execPath, [`${folder}/out/${name}.js`], { env });
  expect(stdout.trimEnd().split('\n')).toEqual(expected);
});

test('the tables of errors and options are complete', async () => {
  const source = readFileSync(`${root}src/errors.ts`, 'utf8');
  const codes = new Set(source.match(/'E_[A-Z_]+'/g)!.map((code) => code.slice(1, -1)));
  for (const code of codes) expect(readme).toMatch(new RegExp(`\\| ${code} +\\|`));
  const options =
    readFileSync(`${root}src/options.ts`, 'utf8').match(/DESERIALIZE_CHECKS.*?\n};/s)![0] +
    readFileSync(`${root}src/options.ts`, 'utf8').match(/DEFAULTS_CHECKS: .*?\n};/s)![0];
  for (const [, name] of options.matchAll(/^ {2}(\w+):/gm)) expect(readme).toMatch(new RegExp(`\\| .*\`${name}\``));
});
