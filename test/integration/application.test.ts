import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Utils } from '@mikro-orm/core';
import { consumerFolder, packageFolder } from '../support/package.ts';

const run = promisify(execFile);
const installed = fileURLToPath(new URL('../../node_modules', import.meta.url));
/** An application with the built package and the MikroORM at hand installed. */
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'byref-application-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(consumerFolder, 'node_modules/@mikro-orm'), join(folder, 'node_modules/@mikro-orm'));
  symlinkSync(packageFolder, join(folder, 'node_modules/mikro-orm-byref'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { exports } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { exports: object };
const names = Object.keys(exports)
  .filter((name) => !name.endsWith('.json'))
  .map((name) => `mikro-orm-byref${name.slice(1)}`);

const program = `
class User {}
ByReference()(User);
const schema = new EntitySchema({ class: User, properties: { id: { type: 'number', primary: true } } });
const options = { entities: [schema], dbName: 'nowhere' };
const orm = 'initSync' in MikroORM ? MikroORM.initSync(options) : new MikroORM(options);
const user = orm.em.fork().getReference(User, 1);
console.log(Utils.getORMVersion(), new EntitySerializer(orm).serialize({ user }));`;
const printed = `${Utils.getORMVersion()} {"$byref":1,"data":{"user":{"$entity":["User",1]}}}\n`;

test('a CommonJS module requires the package and each of its sub-paths', async () => {
  const imports = `
    const { EntitySchema, MikroORM, Utils } = require('@mikro-orm/postgresql');
    const { ByReference, EntitySerializer } = require('mikro-orm-byref');
    for (const name of ${JSON.stringify(names)}) require(name);`;
  writeFileSync(join(folder, 'required.cjs'), imports + program);
  expect(names.length).toBeGreaterThan(5);
  expect(await run(process.execPath, ['required.cjs'], { cwd: folder })).toEqual({ stdout: printed, stderr: '' });
});

test('an ES module imports it, and gets what a CommonJS module requires', async () => {
  const imports = `
    import { createRequire } from 'node:module';
    import { EntitySchema, MikroORM, Utils } from '@mikro-orm/postgresql';
    import { ByReference } from 'mikro-orm-byref';
    const { EntitySerializer } = createRequire(import.meta.url)('mikro-orm-byref');`;
  writeFileSync(join(folder, 'imported.mjs'), imports + program);
  expect(await run(process.execPath, ['imported.mjs'], { cwd: folder })).toEqual({ stdout: printed, stderr: '' });
});

test('its declarations have no errors of their own, neither for ES modules nor for CommonJS ones', async () => {
  const imports = names.map((name, index) => `import * as part${index} from '${name}';\nexport { part${index} };\n`);
  const use = `
    import type { MikroORM } from '@mikro-orm/postgresql';
    import { ByReferenceEntity, EntitySerializer } from 'mikro-orm-byref';
    export class User extends ByReferenceEntity { id!: number }
    export const reload = async (orm: MikroORM, user: User): Promise<User> => {
      const serializer = new EntitySerializer(orm);
      const { again } = await serializer.deserialize(serializer.serialize({ again: user }), { em: orm.em.fork() });
      return User.revive(again.toToken(), orm.em.fork());
    };
    export const wrong: number = {} as Awaited<ReturnType<typeof reload>>;`;
  for (const extension of ['mts', 'cts']) writeFileSync(join(folder, `typed.${extension}`), imports.join('') + use);
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2024'],
    module: 'nodenext',
    types: ['node'],
    typeRoots: [join(installed, '@types')],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['typed.*'] }));
  const tsc = join(installed, 'typescript/bin/tsc');
  const { stdout } = (await run(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { cwd: folder }).catch(
    (error: unknown) => error,
  )) as { stdout: string };
  // Other packages have errors in their declarations; ours are in `dist`.
  const errors = stdout
    .split('\n')
    .filter((line) => /^(?:typed|\S*\/dist\/)/.test(line) && !line.includes('/pg-boss/'));
  expect(errors).toEqual([
    expect.stringMatching(/^typed\.cts\(\d+,\d+\): error TS2322: Type 'User' is not assignable to type 'number'/),
    expect.stringMatching(/^typed\.mts\(\d+,\d+\): error TS2322: Type 'User' is not assignable to type 'number'/),
  ]);
});
