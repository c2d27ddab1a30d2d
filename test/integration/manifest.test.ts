/** `byref manifest`, as it is run: an application of files, in a process of its own. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Utils } from '@mikro-orm/core';
import { installInto, packageFolder } from '../support/package.ts';

const command = join(packageFolder, 'dist/cli/byref.js');
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MIKRO_ORM_')));
const SECRET = 'a secret of thirty-two bytes, ok';
let folder: string;
/** Where the configurations say that the database is: it counts who asks. */
let server: Server;
let connections = 0;

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const byref = (...args: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [command, ...args], { cwd: folder, env: environment }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const remove = (name: string): void => rmSync(join(folder, name), { force: true });
const manifest = (): { [name: string]: unknown } =>
  JSON.parse(readFileSync(join(folder, 'byref.manifest.json'), 'utf8')) as { [name: string]: unknown };

const entities = `
class User {}
ByReference({ name: 'User' })(User);
const UserSchema = new EntitySchema({ class: User, properties: {
  id: { type: 'number', primary: true }, name: { type: 'string' }, version: { type: 'number', version: true },
}});
`;

const application = `import { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';
import { defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { options } from './options.js';
${entities}
class Money { constructor(amount) { this.amount = amount; } }
class Remind { language = 'en'; }
defineDto(Remind, { user: ref(() => User), language: field(), days: field() });

const make = MikroORM.initSync === undefined ? (options) => new MikroORM(options) : (options) => MikroORM.initSync(options);
export const orm = make({ ...options, entities: [UserSchema] });
export const serializer = new EntitySerializer(orm, { signingKeys: [${JSON.stringify(SECRET)}] });
serializer.values.register('Money', Money, { encode: ({ amount }) => amount, decode: (amount) => new Money(amount) });
export const tasks = new Tasks(serializer, inlineEngine(), { signed: { purpose: 'jobs' } });
tasks.define('remind', async () => undefined, { as: Remind, queue: 'mail' });
tasks.define('tidy', async () => undefined, { only: [User] });
`;

const config = `import * as application from './application.js';
export default application;
`;

beforeAll(async () => {
  server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  folder = mkdtempSync(join(tmpdir(), 'byref-manifest-'));
  installInto(folder);
  write(
    'package.json',
    JSON.stringify({
      type: 'module',
      devDependencies: { '@mikro-orm/cli': Utils.getORMVersion() },
      // By the names of MikroORM 7 and 6.
      'mikro-orm': { preferTs: false, useTsNode: false },
    }),
  );
  write('options.js', `export const options = { dbName: 'nowhere', host: '127.0.0.1', port: ${port} };\n`);
  write(
    'mikro-orm.config.js',
    `import { defineConfig, EntitySchema } from '@mikro-orm/postgresql';
import { ByReference } from 'mikro-orm-byref';
import { options } from './options.js';
${entities}
export default defineConfig({ ...options, entities: [UserSchema] });
`,
  );
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  server.close();
});
beforeEach(() => {
  connections = 0;
  write('application.js', application);
  write('byref.config.js', config);
  remove('byref.config.ts');
  remove('byref.manifest.json');
});

test('writes names and shapes, no secrets, and opens no connection', async () => {
  expect(await byref('manifest')).toEqual({
    status: 0,
    stdout: 'byref.manifest.json: 1 model, 1 value object, 2 tasks\n',
    stderr: '',
  });
  expect(manifest()).toEqual({
    byref: 1,
    models: { User: { key: ['int'], version: 'integer' } },
    values: { Money: {} },
    tasks: {
      remind: { queue: 'mail', signed: 'jobs', shapes: ['Remind'] },
      tidy: { queue: 'tidy', signed: 'jobs', only: ['User'] },
    },
    shapes: { Remind: { days: {}, language: { optional: true }, user: { reference: ['User'] } } },
  });
  expect(readFileSync(join(folder, 'byref.manifest.json'), 'utf8')).not.toContain(SECRET);
  expect(connections).toBe(0);
});

test('--check: nothing has changed', async () => {
  await byref('manifest');
  expect(await byref('manifest', '--check')).toEqual({
    status: 0,
    stdout: 'What is stored stays readable.\nUnchecked, for want of `as`: task tidy.\n',
    stderr: '',
  });
  expect(connections).toBe(0);
});

test('--check: what would break, line by line, and what to do', async () => {
  await byref('manifest');
  const before = manifest();
  write(
    'application.js',
    application
      .replace("name: 'User'", "name: 'Person'")
      .replace("'Money', Money", "'Amount', Money")
      .replace('days: field()', 'days: field(), subject: field()')
      .replace("define('tidy'", "define('clean'")
      .replace("purpose: 'jobs'", "purpose: 'mail'"),
  );
  const { status, stdout } = await byref('manifest', '--check');
  expect(status).toBe(1);
  expect(stdout.split('\n').filter((line) => line.startsWith('✗'))).toEqual([
    '✗ model User: is gone, and its tokens can’t be read',
    '✗ value object Money: is gone, and payloads that hold it can’t be read',
    '✗ jobs of task remind: are signed for "mail" now; what waits is signed for "jobs", and is refused',
    '✗ task remind: Remind.subject is required, and jobs that wait may lack it',
    '✗ task tidy: is gone from the queue "tidy", and its jobs are run by nobody',
  ]);
  expect(stdout).toContain("    keep the name: @ByReference({ aliases: ['User'] }) on the class that it is now\n");
  expect(stdout).toContain('\n5 changes would break what is stored.\n');
  expect(stdout).toContain('Not in byref.manifest.json yet: model Person, value object Amount, task clean.\n');
  expect(manifest()).toEqual(before);
});

test('--check: with what it advises nothing breaks', async () => {
  await byref('manifest');
  write(
    'application.js',
    application
      .replace("name: 'User'", "name: 'Person', aliases: ['User']")
      .replace('days: field()', 'days: field(), subject: field({ optional: true })')
      .replace("type: 'number', primary", "type: 'bigint', primary"),
  );
  expect((await byref('manifest', '--check')).status).toBe(0);
  write('application.js', application.replace("type: 'number', primary", "type: 'string', primary"));
  const { status, stdout } = await byref('manifest', '--check');
  expect([status, stdout]).toEqual([
    1,
    expect.stringMatching(/model User: has a key of type varchar.*, under which not all of int are found: 0\n/),
  ]);
});

test('a configuration in TypeScript, of functions', async () => {
  remove('byref.config.js');
  write(
    'byref.config.ts',
    `import type { EntitySerializer } from 'mikro-orm-byref';
import * as application from './application.js';
export default {
  orm: () => application.orm,
  serializer: async (orm: object): Promise<EntitySerializer> => (orm === application.orm ? application.serializer : undefined!),
  tasks: (serializer: EntitySerializer) => (serializer === application.serializer ? [application.tasks] : []),
};
`,
  );
  expect(await byref('manifest')).toMatchObject({ status: 0, stdout: expect.stringContaining('2 tasks') });
});

test('another file, by its path', async () => {
  write('other.js', `import { orm } from './application.js';\nexport default { orm };\n`);
  expect((await byref('manifest', '--config', 'other.js')).stdout).toBe(
    'byref.manifest.json: 1 model, 0 value objects, 0 tasks\n',
  );
});

test('without a configuration there are the models of MikroORM’s', async () => {
  remove('byref.config.js');
  expect((await byref('manifest')).stdout).toBe('byref.manifest.json: 1 model, 0 value objects, 0 tasks\n');
  expect(manifest()['models']).toEqual({ User: { key: ['int'], version: 'integer' } });
  expect(connections).toBe(0);
});

describe('ends with 2', () => {
  test.each<[string, string[], RegExp]>([
    ['where there is nothing to check against', ['manifest', '--check'], /no byref\.manifest\.json to check against/],
    ['for a file that is not there', ['manifest', '--config', 'nowhere.js'], /no such file: nowhere\.js/],
    ['for options of another command', ['manifest', '--json'], /byref manifest has no option --json/],
    ['for options of this one elsewhere', ['inspect', '--check', '{}'], /byref inspect has no option --check/],
    ['for what it does not take', ['manifest', 'all'], /byref manifest takes no all/],
    ['for a path that is left out', ['manifest', '--config'], /needs the path of a script/],
  ])('%s', async (_, args, message) => {
    expect(await byref(...args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(message) });
  });

  test.each<[string, string, RegExp]>([
    ['that exports no application', 'export default {};', /expected a default export \{ orm, serializer, tasks \}/],
    ['that fails', 'throw new Error("no settings");', /could not be read: no settings/],
    [
      'with another serializer',
      `import { orm } from './application.js'; export default { orm, serializer: {} };`,
      /no EntitySerializer/,
    ],
    [
      'with other tasks',
      `import { orm } from './application.js'; export default { orm, tasks: [{}] };`,
      /not made by new Tasks\(\)/,
    ],
  ])('for a configuration %s', async (_, text, message) => {
    write('byref.config.js', text);
    expect(await byref('manifest')).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
  });

  test('for a file that something else has written', async () => {
    write('byref.manifest.json', '{"byref":2}');
    expect(await byref('manifest', '--check')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('not written by this version'),
    });
  });
});
