/** `byref audit`: what every engine has stored, by the code of now. */
import { randomUUID } from 'node:crypto';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { DiscardJobError, type Engine, Tasks } from 'mikro-orm-byref/tasks';
import type { Application } from '../../src/cli/application.ts';
import { type Audit, audit } from '../../src/cli/audit/audit.ts';
import { requeue } from '../../src/cli/requeue.ts';
import { domain, Post, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { engineKinds, type Opened } from '../support/engine-kinds.ts';
import { until } from '../support/jobs.ts';
import { installInto, packageFolder } from '../support/package.ts';
import { describeWith } from '../support/test-with.ts';

class Remind {
  declare user: User;
  declare days: unknown;
}
defineDto(Remind, { user: ref(() => User), days: field() });

const settings = { signingKeys: ['a secret of thirty-two bytes, ok'] };

describe.each(engineKinds)('$name', ({ needs, schedule, write, read }) => {
  describeWith(...needs)('with its server', () => {
    let database: TestOrm;
    let reader: Opened;
    let contents: unknown;
    let application: Application;
    const look = (options = {}): Promise<Audit> =>
      audit(application, { rows: false, sample: 1, progress: undefined, ...options });

    beforeAll(async () => {
      database = await openDatabase(domain);
      const store = await write(database.url);
      const em = database.orm.em.fork();
      const user = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
      const post = em.create(Post, { id: 7, title: 'Hello', body: '', author: user });
      const gone = em.create(User, { id: 2, name: 'Bob', email: 'bob@example.org' });
      await em.flush();

      // A release of yesterday.
      const old = new Tasks(new EntitySerializer(database.orm, settings), store.engine, { onError: () => undefined });
      const remind = old.define('remind', async (_args: object) => undefined);
      await remind.delay({ user, days: 1 });
      await remind.delay({ user, days: 2 }, { delayMs: 3_600_000 });
      await remind.delay({ user: gone, days: 3 });
      await remind.delay({ user });
      await remind.delay({ user: post, days: 4 });
      if (schedule !== 'none') await remind.schedule('0 0 1 1 *', { user });
      const log = old.define('log', async (_args: object) => undefined);
      await log.delay({ it: [post, user] });
      const retired = old.define('retired', async (_args: object) => undefined);
      await retired.bulk([{ user }, { user }]);
      const failing = old.define('failing', async () => {
        throw new DiscardJobError('on purpose');
      });
      const raw = async (queue: string, data: object): Promise<void> => {
        const job = {
          id: randomUUID(),
          queue: { name: queue, retries: { limit: 0, delayMs: 0, backoff: false }, concurrency: 1, batch: 1 },
        };
        await store.engine.enqueue(
          [{ ...job, data: data as never, delayMs: 0, priority: 0, dedupeKey: undefined }],
          undefined,
        );
      };
      await raw('log', { $byref: 1, data: { $entity: ['Invoice', 1] } });
      await raw('log', { $byref: 1, data: { $value: ['Money', {}] } });
      await raw('log', { $byref: 1, data: { $entity: ['User', 'abc'] } });
      await raw('log', { $byref: 9, data: {} });
      await raw('log', { $byref: 1, data: {}, purpose: 'x', signature: 'forged' });
      await raw('log', { plain: 'from before' });
      await raw('foreign', { of: 'another program' });
      const handle = await failing.delay({});
      const only = new Tasks(new EntitySerializer(database.orm, settings), store.engine, { onError: () => undefined });
      only.define('failing', async () => {
        throw new DiscardJobError('on purpose');
      });
      await only.work();
      await until(async () => (await handle.state()) === 'failed');
      await only.stop();
      await em.fork().nativeDelete(User, 2);
      await old.stop();
      await store.close();
      await database.orm.close();
      contents = await contentsOf(database.url);
      await database.orm.connect();

      // The release of today.
      const serializer = new EntitySerializer(database.orm, settings);
      reader = await read(database.url);
      const tasks = new Tasks(serializer, reader.engine, { onError: () => undefined });
      const never = async (): Promise<void> => {
        throw new Error('it ran');
      };
      tasks.define('remind', never, { as: Remind });
      tasks.define('log', never);
      tasks.define('failing', never);
      application = { serializer, tasks: [tasks] } as never;
    });
    afterAll(async () => {
      await database.close();
    });

    test('counts what there is, by task and state', async () => {
      const { jobs, tasks } = await look();
      const scheduled = schedule === 'none' ? 0 : 1;
      const delayed = schedule === 'with its job' ? 2 : 1;
      expect(jobs).toBe(15 + scheduled + delayed);
      const none = { waiting: 0, delayed: 0, active: 0, failed: 0, scheduled: 0 };
      expect(tasks.toSorted((a, b) => (a.queue < b.queue ? -1 : 1))).toEqual([
        { task: 'failing', queue: 'failing', jobs: { ...none, failed: 1 } },
        { task: undefined, queue: 'foreign', jobs: { ...none, waiting: 1 } },
        { task: 'log', queue: 'log', jobs: { ...none, waiting: 7 } },
        { task: 'remind', queue: 'remind', jobs: { ...none, waiting: 4, delayed, scheduled } },
        { task: undefined, queue: 'retired', jobs: { ...none, waiting: 2 } },
      ]);
    });

    test('says what could not be run, and why', async () => {
      const { problems } = await look();
      const found = Object.fromEntries(
        problems.map(({ task = '-', queue, problem, count, samples }) => [
          `${task} in ${queue}: ${problem}`,
          [count, samples.length],
        ]),
      );
      expect(found).toEqual({
        'remind in remind: shape or key': [expect.any(Number), 1],
        'log in log: unknown model': [1, 1],
        'log in log: unknown value object': [1, 1],
        'log in log: shape or key': [1, 1],
        'log in log: newer format': [1, 1],
        'log in log: signature': [1, 1],
        '- in retired: unknown task': [2, 1],
      });
      const shapes = problems.find(({ task, problem }) => task === 'remind' && problem === 'shape or key')!;
      // Of a job without `days`, one of a post, and what a schedule makes without `days`.
      expect(shapes.count).toBeGreaterThanOrEqual(schedule === 'none' ? 2 : 3);
      expect(shapes.samples[0]!.message).toMatch(/Remind to have the key "days"|expected User, got Post/);
    });

    test('with rows it looks for them, one query per model', async () => {
      database.statements.length = 0;
      const { problems } = await look({ rows: true });
      const gone = problems.filter(({ problem }) => problem === 'row is gone');
      expect(gone).toMatchObject([{ task: 'remind', count: 1, samples: [{ message: 'there is no User 2' }] }]);
      const selects = database.statements.filter((sql) => /from "(?:user|post)"/.test(sql));
      // A portion each, of one state or one table.
      expect(selects.length).toBeLessThanOrEqual(7);
      expect(JSON.stringify(problems)).not.toMatch(/ann@example|Hello|Bob/);
    });

    test('counts once what two engines find in one store', async () => {
      const other = await read(database.url);
      const serializer = new EntitySerializer(database.orm, settings);
      const others = new Tasks(serializer, other.engine, { onError: () => undefined });
      others.define('elsewhere', async () => undefined);
      const both = { ...application, tasks: [...application.tasks, others] } as never;
      const alone = await look();
      expect(await audit(both, { rows: false, sample: 1, progress: undefined })).toEqual(alone);
      await others.stop();
      await other.close();
    });

    // The last: what sessions have done they tell when they end.
    test('runs nothing and writes nothing', async () => {
      await look({ rows: true });
      await application.tasks[0]!.stop();
      await reader.close();
      await database.orm.close();
      expect(await contentsOf(database.url)).toEqual(contents);
    });
  });
});

describe.each(engineKinds)('$name, before anything is stored', ({ needs, read, name }) => {
  describeWith(...needs)('with its server', () => {
    test('nothing is found, and nothing is put back', async () => {
      const database = await openDatabase(domain);
      // Where another test has stored nothing either.
      const { engine, close } = name === 'BullMQ on Redis' ? await emptyRedis() : await read(database.url);
      if (name === 'BullMQ on PostgreSQL') await database.orm.em.getConnection().execute('drop schema bullmq cascade');
      const serializer = new EntitySerializer(database.orm);
      const tasks = new Tasks(serializer, engine, { onError: () => undefined });
      tasks.define('remind', async () => undefined);
      const application = { serializer, tasks: [tasks] } as never;
      const settings = { rows: true, sample: 1, progress: undefined };
      expect(await audit(application, settings)).toEqual({ jobs: 0, tasks: [], problems: [] });
      expect(await requeue(application, { names: [], dryRun: false, progress: undefined })).toEqual([]);
      await tasks.stop();
      await close();
      await database.close();
    });
  });
});

async function emptyRedis(): Promise<Opened> {
  const queue = { prefix: `empty-${randomUUID()}` };
  const connection = { url: process.env['TEST_REDIS_URL']! };
  return { engine: bullmqEngine({ connection, queue }), close: async () => undefined };
}

/** What is in a database once nobody else is connected, and by PostgreSQL's statistics how many rows were written. */
async function contentsOf(connectionString: string): Promise<unknown> {
  const client = new Client({ connectionString });
  await client.connect();
  const ask = async (sql: string): Promise<{ [name: string]: unknown }[]> => (await client.query(sql)).rows;
  await until(async () => {
    const others = `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    return (await ask(others)).length === 0;
  });
  const written = await ask(
    `select schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables order by 1, 2`,
  );
  const tables = await ask(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname not in ('pg_catalog', 'information_schema') order by 1`,
  );
  const contents = [];
  for (const { name } of tables) {
    contents.push(
      await ask(`select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ${String(name)} as t`),
    );
  }
  await client.end();
  return { written, contents };
}

describeWith('redis-server')('on Redis', () => {
  test('no command that writes is sent', async () => {
    const url = process.env['TEST_REDIS_URL']!;
    const { hostname, port } = new URL(url);
    const database = await openDatabase(domain);
    const prefix = `audit-${randomUUID()}`;
    const engine = (): Engine =>
      bullmqEngine({ connection: { host: hostname, port: Number(port) }, queue: { prefix }, worker: { prefix } });
    const serializer = new EntitySerializer(database.orm);
    const [writer, reader] = [new Tasks(serializer, engine()), new Tasks(serializer, engine())];
    const task = writer.define('mail', async (_args: object) => undefined);
    await task.bulk([{ n: 1 }, { n: 2 }]);
    await task.schedule('0 0 1 1 *', { n: 3 });
    await writer.stop();
    reader.define('mail', async (_args: object) => undefined);

    const client = new Redis(url);
    const seen: string[][] = [];
    // By hand: ioredis takes what other clients send right after its own MONITOR for an answer without a question.
    const socket = connect(Number(port), hostname);
    const monitor = createInterface({ input: socket });
    monitor.on('line', (line) => {
      if (line.includes(prefix)) seen.push(Array.from(line.matchAll(/"((?:[^"\\]|\\.)*)"/g), ([, word]) => word!));
    });
    socket.write('MONITOR\r\n');
    await once(monitor, 'line');
    const { jobs } = await audit({ serializer, tasks: [reader] } as never, {
      rows: false,
      sample: 3,
      progress: undefined,
    });
    await client.set(`${prefix}-end`, '1');
    while (!seen.some(([, key]) => key === `${prefix}-end`)) await once(monitor, 'line');
    expect(jobs).toBe(4);
    const commands = new Set(seen.slice(0, -1).map(([command]) => command!.toLowerCase()));
    const reading = new Set([
      'scan',
      'evalsha',
      'eval',
      'hgetall',
      'hget',
      'hmget',
      'lrange',
      'zrange',
      'zrevrange',
      'zscore',
      'llen',
      'zcard',
      'exists',
      'client',
      'type',
      'get',
      'zcount',
      'smembers',
      'lindex',
    ]);
    expect([...commands].filter((command) => !reading.has(command))).toEqual([]);
    expect(seen.length).toBeGreaterThan(5);
    socket.destroy();
    await client.del(`${prefix}-end`);
    client.disconnect();
    await database.close();
  });
});

describe('the command', () => {
  let database: TestOrm;
  let started: PgBoss;
  let folder: string;

  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  const byref = (
    names: string[],
    args: string[] = [],
    environment: object = {},
  ): Promise<{ status: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      write('names.js', `export const names = ${JSON.stringify(names)};`);
      const options = { cwd: folder, env: { ...process.env, DATABASE_URL: database.url, ...environment } };
      const argv = [join(packageFolder, 'dist/cli/byref.js'), 'audit', ...args];
      execFile(process.execPath, argv, options, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });

  beforeAll(async () => {
    database = await openDatabase([...domain]);
    started = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
    await started.start();
    const tasks = new Tasks(new EntitySerializer(database.orm), pgBossEngine(started));
    const mail = tasks.define('mail', async (_args: object) => undefined);
    await mail.delay({ user: database.orm.em.fork().getReference(User, 1) });
    folder = mkdtempSync(join(tmpdir(), 'byref-audit-'));
    installInto(folder);
    write('package.json', JSON.stringify({ type: 'module' }));
    write(
      'byref.config.js',
      `import { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { Tasks } from 'mikro-orm-byref/tasks';
import { names } from './names.js';
class User {}
const entities = [new EntitySchema({ class: User, properties: { id: { type: 'number', primary: true } } })];
const clientUrl = process.env.DATABASE_URL;
export default {
  orm: () => (MikroORM.initSync ? MikroORM.initSync({ entities, clientUrl }) : new MikroORM({ entities, clientUrl })),
  serializer: (orm) => new EntitySerializer(orm),
  tasks(serializer) {
    const tasks = new Tasks(serializer, pgBossEngine(new PgBoss(clientUrl)));
    for (const name of names) tasks.define(name, async () => undefined);
    return names.length === 0 ? [] : tasks;
  },
};
`,
    );
  });
  afterAll(async () => {
    await started.stop({ graceful: false });
    rmSync(folder, { recursive: true, force: true });
    await database.close();
  });

  test('prints what it has found, and ends by that', async () => {
    expect(await byref(['mail'])).toEqual({
      status: 0,
      stdout: `task  queue  waiting  delayed  active  failed  scheduled
mail  mail   1        0        0       0       0

All 1 stored jobs can be run by this code.
`,
      stderr: '',
    });
    const [gone, other] = [await byref(['mail'], ['--rows']), await byref(['post'], ['--sample', '0'])];
    const said =
      /✗ 1 of task mail: row is gone\n {4}waiting [\da-f-]{36}: there is no User 1\n1 of 1 stored jobs can't/;
    expect([gone.status, gone.stdout]).toEqual([1, expect.stringMatching(said)]);
    expect([other.status, other.stdout]).toEqual([1, expect.stringContaining('✗ 1 of queue mail: unknown task\n1 of')]);
    const json = await byref(['mail'], ['--rows', '--json']);
    const problem = { task: 'mail', problem: 'row is gone', count: 1 };
    expect(JSON.parse(json.stdout)).toMatchObject({ jobs: 1, problems: [problem] });
  });

  test('ends with 2 where it can’t look', async () => {
    const stderr = expect.stringContaining('What is stored could not be read');
    const away = { DATABASE_URL: 'postgresql://127.0.0.1:1/nowhere' };
    expect(await byref(['mail'], [], away)).toMatchObject({ status: 2, stdout: '', stderr });
    expect(await byref([])).toMatchObject({ status: 2, stderr: expect.stringContaining('no tasks') });
    expect(await byref(['mail'], ['--sample', 'x'])).toMatchObject({ status: 2 });
  });
});
