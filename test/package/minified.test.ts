import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A program that says what its models are called; it connects to nothing. */
const PROGRAM = `
  import { EntitySchema } from '@mikro-orm/core';
  import { MikroORM } from '@mikro-orm/postgresql';
  import { EntitySerializer } from 'mikro-orm-byref';

  class Customer {}
  class Invoice {}
  const entities = [Customer, Invoice].map(
    (cls) => new EntitySchema({ class: cls, tableName: cls === Customer ? 'c' : 'i', properties: { id: { type: 'number', primary: true } } }),
  );
  const options = { entities, dbName: 'nowhere' };
  const orm = 'initSync' in MikroORM ? MikroORM.initSync({ ...options, connect: false }) : new MikroORM(options);
  console.log(new EntitySerializer(orm).registry.names.join());
`;

async function run(options: { readonly minify: boolean; readonly keepNames?: boolean }) {
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: root },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    write: false,
    ...options,
  });
  const args = ['--input-type=module', '--eval', outputFiles[0]!.text];
  return promisify(execFile)(process.execPath, args, { cwd: root, env: process.env });
}

test('the built program warns of names that the bundler has made up', async () => {
  const { stdout, stderr } = await run({ minify: true });
  const names = stdout.trim();
  expect(names).not.toContain('Customer');
  expect(stderr).toContain(`[BYREF_MINIFIED_NAMES] ByReferenceWarning: The names of these models look minified: `);
  expect(stderr).toContain(names.split(',').join(', '));
});

test.each([{ minify: false }, { minify: true, keepNames: true }])('and of none with %p', async (options) => {
  const { stdout, stderr } = await run(options);
  expect([stdout, stderr]).toEqual(['Customer,Invoice\n', '']);
});
