/** Servers that are away when a worker is started, or go away later: it idles meanwhile, and comes up with them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { MikroORM } from '@mikro-orm/postgresql';
import * as bullmq from 'bullmq';
import { Pool } from 'pg';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine, byReference } from 'mikro-orm-byref/bullmq';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Engine, Tasks } from 'mikro-orm-byref/tasks';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { Door } from '../support/door.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName as name, until } from '../support/jobs.ts';
import { describeWith } from '../support/test-with.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(domain);
  const pool = new Pool({ connectionString: database.url });
  const client = await pool.connect();
  await bullmq.runMigrations(client as never, 'bullmq').finally(() => client.release());
  await pool.end();
});
afterAll(() => database.close());

// BullMQ prints there what nobody listens to.
beforeEach(() => void jest.spyOn(console, 'error').mockImplementation(() => undefined));
afterEach(() => void jest.restoreAllMocks());

let door: Door;
const started: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await door.open().catch(() => undefined);
  for (const stop of started.splice(0)) await stop();
  await door.shut();
});

/** What a PostgreSQL server says while it starts. */
const STARTING = ((): Buffer => {
  const fields = ['SFATAL', 'VFATAL', 'C57P03', 'Mthe database system is starting up', ''];
  const body = Buffer.from(fields.map((field) => `${field}\0`).join(''));
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from('E'), length, body]);
})();

/** Waits, and finds that this process has had next to nothing to do, and could have done anything. */
async function idle(ms: number): Promise<void> {
  const parts = 4;
  const shares: number[] = [];
  let ticks = 0;
  const timer = setInterval(() => ticks++, 50);
  for (let part = 0; part < parts; part++) {
    const [before, begun] = [process.cpuUsage(), Date.now()];
    await sleep(ms / parts);
    const { user, system } = process.cpuUsage(before);
    shares.push((user + system) / 1_000 / (Date.now() - begun));
  }
  clearInterval(timer);
  // Others share the machine, and garbage is collected now and then; who is busy without end is so all the time.
  expect(Math.min(...shares)).toBeLessThan(0.5);
  expect(ticks).toBeGreaterThan(ms / 50 / 4);
}

const redis = (): { host: string; port: number } => ({ host: '127.0.0.1', port: Number(new URL(door.url).port) });

function poolOf(url: string): Pool {
  const pool = new Pool({ connectionString: url, options: '-c search_path=bullmq' });
  pool.on('error', () => undefined).on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

interface Kind {
  readonly server: 'PostgreSQL' | 'Redis';
  open(): Promise<readonly [Engine, () => Promise<unknown>]>;
}

const ENGINES: Readonly<Record<string, Kind>> = {
  'pg-boss': {
    server: 'PostgreSQL',
    async open() {
      const boss = new PgBoss({ connectionString: door.url });
      boss.on('error', () => undefined);
      await boss.start();
      return [pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }), () => boss.stop({ graceful: false })];
    },
  },
  'graphile-worker': {
    server: 'PostgreSQL',
    open: async () => [graphileWorkerEngine(runnerOptions(door.url)), async () => undefined],
  },
  'BullMQ on PostgreSQL': {
    server: 'PostgreSQL',
    async open() {
      const pool = poolOf(door.url);
      return [bullmqEngine({ connection: pool, backend: bullmq.createPostgresBackend }), () => pool.end()];
    },
  },
  'BullMQ on Redis': {
    server: 'Redis',
    open: async () => [bullmqEngine({ connection: redis() }), async () => undefined],
  },
};

const serverUrl = (server: Kind['server']): string =>
  server === 'Redis' ? process.env['TEST_REDIS_URL']! : database.url;

for (const [engineName, { server, open }] of Object.entries(ENGINES)) {
  describeWith(...(server === 'Redis' ? (['redis-server'] as const) : []))(engineName, () => {
    let orm: MikroORM;
    beforeEach(async () => {
      door = await Door.before(serverUrl(server));
      orm = database.orm;
    });

    test('a worker whose server goes away idles, and goes on with it', async () => {
      const [engine, end] = await open();
      const tasks = new Tasks(new EntitySerializer(orm), engine);
      started.push(() => tasks.stop(), end);
      const seen: number[] = [];
      const task = tasks.define(name(), async ({ n }: { n: number }) => void seen.push(n));
      await tasks.work();
      await task.delay({ n: 1 });
      await until(() => seen.length === 1);
      await door.shut();
      await idle(4_000);
      if (server === 'PostgreSQL') {
        await door.open(STARTING);
        await idle(3_000);
        await door.shut();
      }
      await door.open();
      await until(async () => {
        const enqueued = await task.delay({ n: 2 }).then(
          () => true,
          () => false,
        );
        return enqueued;
      });
      await until(() => seen.includes(2));
    });

    test('a producer that began while its server was away goes on with it', async () => {
      const [engine, end] = await open();
      const tasks = new Tasks(new EntitySerializer(orm), engine);
      started.push(() => tasks.stop(), end);
      const task = tasks.define(name(), async () => 'done');
      await door.shut();
      // On Redis it waits, elsewhere it is refused.
      const first = task.delay({}).then(
        () => undefined,
        () => undefined,
      );
      await sleep(500);
      await door.open();
      await first;
      const handle = await task.delay({});
      await tasks.work();
      await until(async () => (await handle.state()) === 'completed');
    });
  });
}

for (const server of ['PostgreSQL', 'Redis'] as const) {
  describeWith(...(server === 'Redis' ? (['redis-server'] as const) : []))(`BullMQ’s own classes on ${server}`, () => {
    beforeEach(async () => {
      door = await Door.before(serverUrl(server));
    });

    test.each(server === 'Redis' ? [undefined] : [undefined, STARTING])(
      'a worker that is started while its server is away idles, and comes up with it',
      async (answer) => {
        await door.shut();
        if (answer !== undefined) await door.open(answer);
        const { Queue, Worker } = byReference(new EntitySerializer(database.orm));
        const pool = poolOf(door.url);
        const options = { connection: server === 'Redis' ? redis() : pool };
        const backend = server === 'Redis' ? [] : [bullmq.createPostgresBackend];
        const seen: unknown[] = [];
        const worker = new Worker(name(), async (job) => void seen.push(job.data), options, ...backend);
        worker.on('error', () => undefined);
        const queue = new Queue(worker.name, options, ...backend);
        queue.on('error', () => undefined);
        started.push(
          () => worker.close(),
          () => queue.close(),
          () => pool.end(),
        );
        await idle(4_000);
        if (answer !== undefined) await door.shut();
        await door.open();
        await queue.add('job', { n: 1 });
        await until(() => seen.length === 1);
      },
      60_000,
    );
  });
}
