import { execFile, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Utils } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { Dog, inheritance } from '../../fixtures/inheritance.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { Parcel, parcels, Weight } from '../../fixtures/parcels.ts';
import { run as runCommand } from '../../src/cli/run.ts';
import { openDatabase } from '../support/database.ts';
import { consumerFolder, packageFolder } from '../support/package.ts';

const EPOCH = '1970-01-01T00:00:00.000Z';
const root = fileURLToPath(new URL('../../', import.meta.url));
/** What npm links `byref` to; `npm test` has built it. */
const command = join(packageFolder, 'dist/cli/byref.js');

/** MikroORM keeps settings of this process's own in it. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MIKRO_ORM_')));
const workingDirectory = process.cwd();

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** SELECTs that the command sent. */
  readonly selects: readonly string[];
}

let database: TestOrm;
let serializer: EntitySerializer;
/** An application with a MikroORM configuration. */
let folder: string;

beforeAll(async () => {
  database = await openDatabase([...domain, ...inheritance, ...parcels]);
  serializer = new EntitySerializer(database.orm, { signingKeys: ['a secret of at least 32 bytes, as asked'] });
  const em = database.orm.em.fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org', secret: 'swordfish' });
  em.create(User, { id: 2, name: '\u001b[31mRed\u009b', email: 'red@example.org', secret: 'swordfish' });
  em.create(Post, { id: 7, title: 'Hello', body: 'x'.repeat(1_000), author: ann });
  em.create(Dog, { id: 3, name: 'Rex', bark: 'wuff' });
  const address = { line: 'Road 1', doorCode: 'swordfish' };
  const parcel = { pin: 'swordfish', notes: 'lazybones', weight: new Weight(5), address, sender: ann };
  em.create(Parcel, { id: 1n, label: 'Books', changedAt: new Date(1_000), ...parcel });
  em.create(Parcel, { id: 2n, label: 'Gone', changedAt: new Date(0), ...parcel, discarded: true });
  await em.flush();
  const run = (sql: string): Promise<unknown> => em.getConnection().execute(sql);
  await run('create schema t1');
  await run(`create table t1.tenanted (id int primary key, name text)`);
  await run(`insert into t1.tenanted values (1, 'First')`);

  folder = mkdtempSync(join(tmpdir(), 'byref-cli-'));
  symlinkSync(join(consumerFolder, 'node_modules'), join(folder, 'node_modules'));
  mkdirSync(join(folder, 'config'));
  writePackage({});
  writeFileSync(join(folder, 'mikro-orm.config.js'), configuration(database.url));
  writeFileSync(
    join(folder, 'config/other.config.ts'),
    `${configuration(database.url)}\nexport const a: string = 'b';`,
  );
  writeFileSync(
    join(folder, 'talking.config.js'),
    `console.log('a configuration that talks');\nsetInterval(() => undefined, 1_000);${configuration(database.url)}`,
  );
  process.chdir(folder);
});
afterAll(async () => {
  process.chdir(workingDirectory);
  rmSync(folder, { recursive: true, force: true });
  await database.close();
});
beforeEach(() => rmSync(join(folder, 'queries.log'), { force: true }));

/** The application has no loader for TypeScript, so it says that it wants none. */
function writePackage(mikroOrm: object): void {
  const content = {
    type: 'module',
    devDependencies: { '@mikro-orm/cli': Utils.getORMVersion() },
    // By the names of MikroORM 7 and 6.
    'mikro-orm': { preferTs: false, useTsNode: false, ...mikroOrm },
  };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(content));
}

const configuration = (clientUrl: string): string => `
  import { appendFileSync } from 'node:fs';
  import { defineConfig } from '@mikro-orm/postgresql';
  import { domain } from '${root}fixtures/domain.ts';
  import { inheritance } from '${root}fixtures/inheritance.ts';
  import { parcels } from '${root}fixtures/parcels.ts';
  export default defineConfig({
    entities: [...domain, ...inheritance, ...parcels],
    clientUrl: ${JSON.stringify(clientUrl)},
    onQuery: (sql) => { appendFileSync('queries.log', sql + '\\n'); return sql; },
  });`;

function sentSelects(): string[] {
  const log = join(folder, 'queries.log');
  return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
}

/** Runs `byref` in this process, whose working directory is the application's folder. */
async function byref(args: readonly string[], input = ''): Promise<Ran> {
  const { output, errors = '', exitCode } = await runCommand(args, { stdin: Readable.from([input]) });
  return { status: exitCode, stdout: output, stderr: errors, selects: sentSelects() };
}

/** Runs it as a user does: a process of its own, with standard input and an exit code. */
function spawned(args: readonly string[], { input = '', env = {} as NodeJS.ProcessEnv } = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: folder, env: { ...environment, ...env }, timeout: 60_000 };
    const child = execFile(process.execPath, [command, ...args], options, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode, stdout, stderr, selects: sentSelects() }),
    );
    child.stdin!.end(input);
  });
}

const inspect = (payload: unknown, ...options: string[]): Promise<Ran> =>
  byref(['inspect', ...options, typeof payload === 'string' ? payload : JSON.stringify(payload)]);

/** A payload with these references under `a`, `b`, … */
const naming = (...bodies: unknown[]): object => ({
  $byref: 1,
  data: Object.fromEntries(bodies.map((body, index) => [String.fromCharCode(97 + index), { $entity: body }])),
});

const jsonOf = async (ran: Promise<Ran>) =>
  JSON.parse((await ran).stdout) as {
    payloads: { path: string; tokens: Record<string, unknown>[]; problems: { code: string }[] }[];
    failure?: string;
  };

describe('a payload alone', () => {
  test('prints tokens, details and tags, without a database', async () => {
    const payload = { $byref: 1, data: { user: { $entity: ['User', 1, { version: 4 }] }, due: { $date: EPOCH } } };
    const { stdout, stderr, status, selects } = await inspect(payload);
    expect(stdout).toBe(`\
Payload of format 1 at $, not signed
Tokens:
  $.user  User  1  {"version":4}
Tags:
  $entity  1
  $date    1
Payload problems: none
`);
    expect([status, stderr, selects]).toEqual([0, '', []]);
  });

  test('prints composite keys, key types and schemas in columns', async () => {
    const { stdout } = await inspect(
      naming(['OrderLine', [7, 'a']], ['Comment', { $bigint: '10' }], ['User', 1, { schema: 't1' }]),
    );
    expect(stdout).toContain(`\
  $.a  OrderLine  [7,"a"]
  $.b  Comment    {"$bigint":"10"}
  $.c  User       1                 {"schema":"t1"}
`);
  });

  test('says what a signature claims, and that it is not verified', async () => {
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    const signed = serializer.serialize({ user }, { sign: { purpose: 'mail', expiresAt: new Date('2999-01-01') } });
    const forever = serializer.serialize(1, { sign: { purpose: 'mail', expiresAt: null } });
    const expired = { ...(JSON.parse(signed) as object), expiresAt: EPOCH };
    const [good, endless, late] = await Promise.all([inspect(signed), inspect(forever), inspect(expired)]);
    expect(good.stdout).toContain(
      'Payload of format 1 at $, signed for "mail" until 2999-01-01T00:00:00.000Z (signature not verified)\n',
    );
    expect(endless.stdout).toContain('Payload of format 1 at $, signed for "mail" (signature not verified)\n');
    expect([good.status, endless.status, late.status]).toEqual([0, 0, 1]);
    expect(late.stdout).toMatch(/\$ {2}E_EXPIRED {2}The signature expired at 1970/);
  });

  test.each<[string, unknown, string]>([
    ['text that is no JSON', '{"$byref":1,', 'E_MALFORMED'],
    ['JSON without an envelope', '{"user":1}', 'E_MALFORMED'],
    ['a newer format', { $byref: 9, data: { $new: 1 } }, 'E_UNSUPPORTED_VERSION'],
    ['an unknown tag', { $byref: 1, data: { $new: 1 } }, 'E_MALFORMED'],
    ['a malformed token', naming(['User', 1], ['User']), 'E_MALFORMED'],
    ['one that is too deep', `{"$byref":1,"data":${'['.repeat(2_000)}${']'.repeat(2_000)}}`, 'E_LIMIT'],
  ])('says the problem of %s', async (_name, payload, code) => {
    const { stdout, status } = await inspect(payload);
    expect(stdout).toMatch(new RegExp(`Payload problems:\n {2}\\$.* ${code} `));
    expect(status).toBe(1);
  });

  test('prints the tokens beside a malformed one', async () => {
    expect((await inspect(naming(['User', 1], ['User']))).stdout).toContain('$.a  User  1\n');
  });

  test('prints nothing that a terminal would obey', async () => {
    const nasty = '\u001b]0;owned\u0007\u009b31m\u202e\u2028\r\n\u007f\u{e0041}\ud800';
    const payload = {
      $byref: 1,
      purpose: nasty,
      signature: nasty,
      data: {
        [nasty]: { $entity: [`x${nasty.slice(0, -1)}`, nasty.slice(0, -1)] },
        b: { $entity: [nasty, 1] },
        [`$${nasty}`]: 1,
      },
    };
    const text = await inspect({ job: { [nasty]: payload } });
    const json = await inspect({ job: { [nasty]: payload } }, '--json');
    const unknown = await byref(['inspect', `no-such-file${nasty.slice(0, -1)}`]);
    for (const { stdout, stderr } of [text, json, unknown]) {
      expect(`${stdout}${stderr}`).not.toMatch(/[^\P{C}\n]|[\u2028\u2029]/u);
    }
    expect(text.stdout).toContain('\\u001b]0;owned\\u0007\\u009b31m\\u202e\\u2028');
    expect(text.stdout.split('\n').every((line) => /^(?:$|[PT ])/.test(line))).toBe(true);
    expect((JSON.parse(json.stdout) as { payloads: { purpose: string }[] }).payloads[0]!.purpose).toBe(nasty);
    expect(unknown.status).toBe(2);
  });

  test('clips what is long in text, and not in JSON', async () => {
    const long = 'x'.repeat(10_000);
    const { stdout } = await inspect(naming([long, 1]));
    expect(stdout).toContain(`${'x'.repeat(200)}… (10000 characters)  1\n`);
    expect((await jsonOf(inspect(naming([long, 1]), '--json'))).payloads[0]!.tokens[0]).toMatchObject({ model: long });
  });
});

describe('what is pasted', () => {
  const payload = JSON.stringify(naming(['User', 1]));
  const paths = async (ran: Promise<Ran>): Promise<string[]> =>
    Array.from((await ran).stdout.matchAll(/^Payload of format 1 at (\S+),/gm), ([, path]) => path!);

  test('is a file, or standard input', async () => {
    writeFileSync(join(folder, 'job.json'), `\ufeff${payload}\n`);
    const text = await inspect(payload);
    expect(await byref(['inspect', 'job.json'])).toEqual(text);
    expect(await byref(['inspect', '-'], payload)).toEqual(text);
    expect(await spawned(['inspect', '-'], { input: payload })).toEqual(text);
  });

  test('is a whole job, with payloads at any depth and in strings', async () => {
    const job = { id: '1', data: payload, opts: [{ note: 'no $byref here' }], returnvalue: naming(['Post', 7]) };
    expect(await paths(inspect(job))).toEqual(['$.data', '$.returnvalue']);
    expect(await paths(inspect(JSON.stringify(JSON.stringify(job))))).toEqual(['$.data', '$.returnvalue']);
    const { stdout } = await inspect(job);
    expect(stdout).toMatch(/ {2}\$\.a {2}User {2}1\n(?:.*\n)*.* {2}\$\.a {2}Post {2}7\n/);
  });

  test('is a column of a table, one payload per line', async () => {
    expect(await paths(byref(['inspect', '-'], `${payload}\n\n${payload}\n`))).toEqual(['$[0]', '$[2]']);
  });

  test('is no envelope inside the data of another', async () => {
    const inner = serializer.serialize({ kept: naming(['User', 1]), text: payload });
    expect(await paths(inspect(inner))).toEqual(['$']);
  });

  test('is a token as text, signed or not', async () => {
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    const [plain, signed] = await Promise.all([
      inspect(String(serializer.token(user))),
      inspect(serializer.sign(user, { purpose: 'mail', expiresAt: new Date('2999-01-01') })),
    ]);
    expect(plain.stdout).toContain('Token at $, not signed\nTokens:\n  $  User  1\n');
    expect(signed.stdout).toContain(
      'Token at $, signed until 2999-01-01T00:00:00.000Z (signature not verified)\nTokens:\n  $  User  1\n',
    );
    expect([plain.status, signed.status]).toEqual([0, 0]);
    const expired = await inspect(serializer.sign(user, { purpose: 'mail', expiresAt: new Date(0) }));
    expect([expired.status, expired.stdout]).toEqual([1, expect.stringContaining('E_EXPIRED')]);
  });
});

describe('--config', () => {
  test('prints the rows of now, relations as tokens, with one query per model', async () => {
    const { stdout, selects, status } = await inspect(
      [naming(['Post', 7], ['User', 1], ['User', 1]), naming(['User', 2], ['Parcel', { $bigint: '1' }])],
      '--config',
    );
    expect(stdout).toContain(`\
  $.a  Post  7
    row of Post
      id       7
      title    "Hello"
`);
    expect(stdout).toContain('      author   {"$entity":["User",1]}\n');
    expect(stdout).toContain(`body     "${'x'.repeat(199)}… (1002 characters)\n`);
    expect(stdout).toContain('$.c  User  1\n    row of User, printed above\n');
    expect(stdout).toContain('name       "\\u001b[31mRed\\u009b"\n');
    expect(status).toBe(0);
    expect(selects.filter((sql) => sql.includes(' join '))).toEqual([]);
    expect(selects.map((sql) => /from "(\w+)"/.exec(sql)?.[1]).sort()).toEqual(['parcel', 'post', 'user']);
  });

  test('prints no hidden property, no lazy one, and names those that have no wire form', async () => {
    const payload = naming(['User', 1], ['Parcel', { $bigint: '1' }]);
    const runs = await Promise.all([inspect(payload, '--config'), inspect(payload, '--config', '--json')]);
    for (const { stdout, stderr, status } of runs) {
      expect(`${stdout}${stderr}`).not.toMatch(/swordfish|secret|pin|doorCode|lazybones|notes/);
      expect(status).toBe(0);
    }
    expect(runs[0].stdout).toContain('address    {"line":"Road 1"}\n');
    expect(runs[0].stdout).toContain('weight     (has no wire form)\n');
    expect(JSON.parse(runs[1].stdout)).toMatchObject({
      payloads: [{ tokens: [{ rowModel: 'User' }, { row: { label: 'Books' }, omitted: ['weight'] }] }],
    });
  });

  test('says whether a row is older or newer than its token, or as it was', async () => {
    const at = (ms: number): object => ({ version: { $date: new Date(ms).toISOString() } });
    const key = { $bigint: '1' };
    const { stdout, status, selects } = await inspect(
      naming(
        ['Parcel', key, at(0)],
        ['Parcel', key, at(1_000)],
        ['Parcel', key, at(2_000)],
        ['Dog', 3, { version: 1 }],
      ),
      '--config',
    );
    const now = '{"$date":"1970-01-01T00:00:01.000Z"} now';
    const states = Array.from(stdout.matchAll(/^ {4}row of (.*)$/gm), ([, state]) => state);
    expect(states).toEqual([
      `Parcel, newer than the token, version ${now}`,
      'Parcel, version as in the token, printed above',
      `Parcel, older than the token, version ${now}: not visible yet, or a replica lags behind, printed above`,
      'Dog',
    ]);
    expect([status, selects.length]).toEqual([1, 2]);
    expect((await inspect(naming(['Parcel', key, at(0)], ['User', 1, { version: 1 }]), '--config')).status).toBe(0);
  });

  test('says that a row is missing, and what filters hide with --no-filters', async () => {
    const payload = naming(['User', 404], ['Parcel', { $bigint: '2' }], ['User', 1]);
    const { stdout, status } = await inspect(payload, '--config');
    expect(stdout).toContain('$.a  User    404\n    missing: there is no such row, or a filter hides it\n');
    expect(stdout).toMatch(/\$\.b {2}Parcel {2}\{"\$bigint":"2"\}\n {4}missing:/);
    expect(stdout).toContain('"ann@example.org"');
    expect(status).toBe(1);
    const all = await jsonOf(inspect(payload, '--config', '--no-filters', '--json'));
    expect(all.payloads[0]!.tokens).toMatchObject([
      { row: null, problem: { code: 'E_ENTITY_NOT_FOUND' } },
      { row: { label: 'Gone' } },
      { row: { name: 'Ann' } },
    ]);
  });

  test('a payload that can not be revived prints, token by token', async () => {
    const payload = naming(
      ['Nobody', 1],
      ['User', 'one'],
      ['User', 1],
      ['User'],
      ['User', 1, { version: { $date: EPOCH } }],
    );
    const { stdout, status, selects } = await inspect(payload, '--config');
    expect(stdout).toMatch(/\$\.a {2}Nobody {2}1 *\n {4}E_UNKNOWN_MODEL: The model "Nobody" is not in/);
    expect(stdout).toMatch(/\$\.b {2}User {4}"one"\n {4}E_MALFORMED: /);
    expect(stdout).toMatch(/\$\.c {2}User {4}1 *\n {4}row of User\n/);
    expect(stdout).toMatch(/\$\.e .*\n {4}E_MALFORMED: .*expected an integer as version of User/);
    expect(stdout).toMatch(/Payload problems:\n {2}\$\.d {2}E_MALFORMED/);
    expect([status, selects.length]).toEqual([1, 1]);
  });

  test('a foreign schema is refused without SQL; the own one is read', async () => {
    const payload = naming(['Tenanted', 1, { schema: 't1' }], ['User', 1, { schema: 't1' }]);
    const { stdout, status, selects } = await inspect(payload, '--config');
    expect(stdout.match(/E_SCHEMA_NOT_ALLOWED: /g)).toHaveLength(2);
    expect([status, selects]).toEqual([1, []]);
    const tenant = naming(['Tenanted', 1, { schema: 't1' }]);
    const own = await inspect(tenant, '--config', '--schema', 't1');
    expect([own.status, own.stdout]).toEqual([0, expect.stringContaining('name  "First"\n')]);
  });

  test('a token of a base class shows the row’s own model', async () => {
    const { stdout } = await inspect(naming(['Animal', 3], ['Cat', 3]), '--config');
    expect(stdout).toMatch(/\$\.a {2}Animal {2}3\n {4}row of Dog\n/);
    expect(stdout).toMatch(/\$\.b {2}Cat {5}3\n {4}missing:/);
  });

  test('a database that is down: the tokens print, and the failure is said', async () => {
    writeFileSync(join(folder, 'down.config.js'), configuration('postgresql://127.0.0.1:1/nowhere'));
    const payload = naming(['User', 1], ['User']);
    const text = await inspect(payload, '--config=./down.config.js');
    const json = await inspect(payload, '--config=./down.config.js', '--json');
    expect(text.stdout).toContain('$.a  User  1\n');
    expect(text.stdout).toMatch(/Payload problems:\n {2}\$\.b/);
    expect(text.stderr).toMatch(/^byref: The rows could not be read: .*ECONNREFUSED/m);
    expect([text.status, json.status]).toEqual([2, 2]);
    expect(JSON.parse(json.stdout)).toMatchObject({ failure: expect.stringContaining('ECONNREFUSED') });
  });

  test('a query that fails is a failure, not a missing row', async () => {
    const { stdout, stderr, status } = await inspect(naming(['Tenanted', 1]), '--config', '--schema', 't2');
    expect(stdout).toContain('$.a  Tenanted  1\nTags:');
    expect(stderr).toContain('relation "t2.tenanted" does not exist');
    expect(status).toBe(2);
  });

  test('a database that is not there is not made', async () => {
    const url = Object.assign(new URL(database.url), { pathname: '/byref_not_there' }).href;
    writeFileSync(join(folder, 'absent.config.js'), configuration(url));
    const ran = await inspect(naming(['User', 1]), '--config=./absent.config.js');
    expect([ran.status, ran.stderr]).toEqual([2, expect.stringContaining('database "byref_not_there" does not exist')]);
  });

  test('JSON is JSON, whatever the configuration prints', async () => {
    const payload = JSON.stringify(naming(['User', 1]));
    const json = spawned(['inspect', payload, '--json', '--config=./talking.config.js']);
    const report = await jsonOf(json);
    expect(report.payloads[0]!.tokens[0]).toMatchObject({
      path: '$.a',
      model: 'User',
      primaryKey: 1,
      row: { id: 1, name: 'Ann', nickname: null, version: 1 },
    });
    expect((await json).stderr).toBe('a configuration that talks\n');
  });
});

describe('the configuration', () => {
  const payload = JSON.stringify(naming(['User', 1]));
  const hasRow = expect.stringContaining('row of User') as unknown as string;

  test('is the given path, before or after the payload', async () => {
    const path = './config/other.config.ts';
    const runs = await Promise.all([
      byref(['inspect', '--config', path, payload]),
      byref(['inspect', payload, '--config', path]),
      byref(['inspect', `--config=${path}`, payload]),
      spawned(['inspect', payload, '--config', path]),
    ]);
    for (const ran of runs) expect(ran).toMatchObject({ status: 0, stdout: hasRow });
  });

  test("is found in package.json's section mikro-orm, and by MIKRO_ORM_CLI_CONFIG", async () => {
    const broken = join(folder, 'broken.config.js');
    writeFileSync(broken, 'throw new Error("not this one");');
    writePackage({ configPaths: ['./broken.config.js'] });
    try {
      const section = await spawned(['inspect', payload, '--config']);
      expect([section.status, section.stderr]).toEqual([2, 'byref: The rows could not be read: not this one\n']);
      const env = { MIKRO_ORM_CLI_CONFIG: './mikro-orm.config.js' };
      expect(await spawned(['inspect', '--config', payload], { env })).toMatchObject({ status: 0, stdout: hasRow });
    } finally {
      writePackage({});
    }
  });

  test('that is not there is said, and the tokens print', async () => {
    const { stdout, stderr, status } = await spawned(['inspect', payload, '--config=./no.config.js']);
    expect(stdout).toContain('$.a  User  1\n');
    expect(stderr).toMatch(/^byref: The rows could not be read: .*config file not found/i);
    expect(status).toBe(2);
  });
});

describe('the command', () => {
  test('prints its help and its version', async () => {
    const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
    const help = await byref(['--help']);
    const short = await byref(['inspect', '-h']);
    const number = await byref(['--version']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(short.stdout).toBe(help.stdout);
    for (const word of ['--config', '--no-filters', '--json', '--help', '--version', 'Exit codes']) {
      expect(help.stdout).toContain(word);
    }
    expect(number).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(await spawned(['--version'])).toEqual(number);
  });

  test('ends as it says, and starts by its name', async () => {
    expect(readFileSync(command, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    for (const args of [['inspect', '{"user":1}'], ['look']]) expect(await spawned(args)).toEqual(await byref(args));
  });

  test.each<[string, string[], RegExp]>([
    ['no command', [], /no command given/],
    ['an unknown command', ['look', '{}'], /no such command: look/],
    ['nothing to inspect', ['inspect'], /nothing to inspect/],
    ['two payloads', ['inspect', '{}', '{}'], /one payload at a time/],
    ['an unknown option', ['inspect', '{}', '--color'], /--color/],
    ['a file that is not there', ['inspect', 'no-such-file.json'], /neither a payload, nor a token, nor a file/],
  ])('%s is wrong usage', async (_name, args, message) => {
    const { status, stdout, stderr } = await byref(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^byref: .* \(see byref --help\)\n$/);
  });

  test('needs MikroORM only for rows', () => {
    // Alone in a folder, it can import nothing but node's own modules.
    const alone = mkdtempSync(join(tmpdir(), 'byref-alone-'));
    try {
      for (const name of ['dist', 'package.json']) {
        cpSync(join(packageFolder, name), join(alone, name), { recursive: true });
      }
      const run = (...args: string[]) =>
        spawnSync(process.execPath, [join(alone, 'dist/cli/byref.js'), 'inspect', ...args, '{"$byref":1,"data":1}'], {
          cwd: alone,
          encoding: 'utf8',
        });
      expect(run()).toMatchObject({ status: 0, stderr: '' });
      expect(run('--config')).toMatchObject({
        status: 2,
        stderr:
          'byref: The rows could not be read: MikroORM’s configuration needs the package @mikro-orm/cli to be installed\n',
      });
    } finally {
      rmSync(alone, { recursive: true, force: true });
    }
  });

  test('survives a reader that has seen enough', () => {
    const bodies = Array.from({ length: 20_000 }, (_, id) => ({ $entity: ['User', id] }));
    writeFileSync(join(folder, 'large.json'), JSON.stringify({ $byref: 1, data: bodies }));
    const { stdout, stderr } = spawnSync(`"${process.execPath}" "${command}" inspect large.json | head -n 1`, {
      cwd: folder,
      shell: true,
      encoding: 'utf8',
    });
    expect([stdout, stderr]).toEqual(['Payload of format 1 at $, not signed\n', '']);
  });
});
