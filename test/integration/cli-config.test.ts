import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EntitySchema, Utils } from '@mikro-orm/core';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { consumerFolder, packageFolder } from '../support/package.ts';

const command = join(packageFolder, 'dist/cli/byref.js');
class Account {
  declare id: number;
  declare name: string;
  declare revision: Date;
  declare settings: object;
}
const schema = `new EntitySchema({ class: Account, properties: {
  id: { type: 'number', primary: true }, name: { type: 'string' },
  revision: { type: 'Date', version: true, hidden: true, length: 3 },
}})`;
const make = new Function('EntitySchema', 'Account', `return ${schema}`) as (a: unknown, b: unknown) => never;
let database: TestOrm;
let folder: string;
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MIKRO_ORM_')));
const byref = (args: string[], options = {}) =>
  spawnSync(process.execPath, [command, ...args], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    timeout: 20_000,
    ...options,
  });

beforeAll(async () => {
  database = await openDatabase([make(EntitySchema, Account)]);
  const em = database.orm.em.fork();
  await em.getConnection().execute(`insert into account (id, name, revision) values (1, 'A', '2031-02-03T04:05:06Z')`);
  folder = mkdtempSync(join(tmpdir(), 'byref-review-'));
  symlinkSync(join(consumerFolder, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({
      type: 'module',
      devDependencies: { '@mikro-orm/cli': Utils.getORMVersion() },
      // By the names of MikroORM 7 and 6.
      'mikro-orm': { preferTs: false, useTsNode: false },
    }),
  );
  writeFileSync(
    join(folder, 'mikro-orm.config.js'),
    `import { defineConfig, EntitySchema } from '@mikro-orm/postgresql';
class Account {}
export default defineConfig({ entities: [${schema}], clientUrl: ${JSON.stringify(database.url)} });`,
  );
  writeFileSync(
    join(folder, 'late.config.js'),
    `import { defineConfig, EntitySchema } from '@mikro-orm/postgresql';
class Account {}
setTimeout(() => { Promise.reject(new Error('a cache that the application could not reach')); }, 1);
export default defineConfig({ entities: [${schema}], clientUrl: ${JSON.stringify(database.url)} });`,
  );
  writeFileSync(
    join(folder, 'out.config.js'),
    `import { defineConfig, EntitySchema } from '@mikro-orm/postgresql';
class Account {}
console.debug('hello from the configuration'); console.table([1]);
export default defineConfig({ entities: [${schema}], clientUrl: ${JSON.stringify(database.url)} });`,
  );
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database.close();
});
const payload = JSON.stringify({
  $byref: 1,
  data: { a: { $entity: ['Account', 1, { version: { $date: '1970-01-01T00:00:00.000Z' } }] } },
});

test('a hidden version is not printed', () => {
  const { stdout, status } = byref(['inspect', '--config', payload]);
  const json = byref(['inspect', '--config', '--json', payload]);
  expect(status).toBe(0);
  expect(stdout + json.stdout).not.toContain('2031');
});
test('what a configuration leaves behind does not keep tokens from being printed', () => {
  const { stdout, status } = byref(['inspect', '--config=./late.config.js', payload]);
  expect(stdout).toContain('Account  1');
  expect(status).not.toBe(1);
});
test('--json prints JSON only', () => {
  const { stdout } = byref(['inspect', '--config=./out.config.js', '--json', payload]);
  expect(() => JSON.parse(stdout)).not.toThrow();
});
