/** Workers that are started while the database is away, and again once it is back. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createPostgresBackend, runMigrations } from 'bullmq';
import { Pool } from 'pg';
import { PgBoss } from 'pg-boss';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import type { Engine, RunJobs } from 'mikro-orm-byref/tasks';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { Door } from '../support/door.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName as name, until } from '../support/jobs.ts';

/** An engine whose connections go through the door, and what ends them. */
type Opened = readonly [Engine, () => Promise<unknown>];

const ENGINES: Readonly<Record<string, (url: string) => Promise<Opened>>> = {
  async 'pg-boss'(url) {
    const boss = new PgBoss({ connectionString: url });
    boss.on('error', () => undefined);
    await boss.start();
    return [pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }), () => boss.stop({ graceful: false })];
  },
  async 'graphile-worker'(url) {
    return [graphileWorkerEngine(runnerOptions(url)), async () => undefined];
  },
  async 'BullMQ on PostgreSQL'(url) {
    const pool = new Pool({ connectionString: url, options: '-c search_path=bullmq' });
    pool.on('error', () => undefined).on('connect', (client) => client.on('error', () => undefined));
    const client = await pool.connect();
    await runMigrations(client as never, 'bullmq').finally(() => client.release());
    return [bullmqEngine({ connection: pool, backend: createPostgresBackend }), () => pool.end()];
  },
};

let database: TestOrm;
let door: Door;
beforeAll(async () => {
  database = await openDatabase(domain);
});
afterAll(() => database.close());
beforeEach(async () => {
  door = await Door.before(database.url);
});
afterEach(() => door.shut());

describe.each(Object.entries(ENGINES))('%s', (_, open) => {
  test('a queue whose workers could not start is worked after the next call, by no more than it asks for', async () => {
    const [engine, end] = await open(door.url);
    const queue = {
      name: name(),
      retries: { limit: 0, delayMs: 0, backoff: false },
      concurrency: 1,
      batch: 1,
    };
    const seen: unknown[] = [];
    let [running, most] = [0, 0];
    const run: RunJobs = async (jobs) => {
      most = Math.max(most, ++running);
      await sleep(50);
      running--;
      seen.push(...jobs.map(({ data }) => data));
      return jobs.map(() => ({ status: 'completed', output: undefined }));
    };
    const job = { queue, delayMs: 0, priority: 0, dedupeKey: undefined };
    try {
      await door.shut();
      await expect(engine.work(queue, run)).rejects.toThrow();
      await door.open();
      await engine.work(queue, run);
      await engine.enqueue(
        [1, 2, 3].map((n) => ({ ...job, id: randomUUID(), data: { n } })),
        undefined,
      );
      await until(() => seen.length === 3);
      expect(seen).toEqual(expect.arrayContaining([{ n: 1 }, { n: 2 }, { n: 3 }]));
      expect(most).toBe(1);
    } finally {
      await engine.stop();
      await end();
    }
  });
});
