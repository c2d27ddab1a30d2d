/** Workers that are started while the database is away, and again once it is back. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createPostgresBackend, runMigrations } from 'bullmq';
import { Pool } from 'pg';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Engine, Tasks } from 'mikro-orm-byref/tasks';
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
  test('workers that could not start are started by the next call, each once', async () => {
    const [engine, end] = await open(door.url);
    const tasks = new Tasks(new EntitySerializer(database.orm), engine);
    let [running, most] = [0, 0];
    const seen: string[] = [];
    const defined = ['one', 'two'].map((task) =>
      tasks.define(
        name(),
        async () => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 50));
          running--;
          seen.push(task);
        },
        { concurrency: 1 },
      ),
    );
    try {
      await door.shut();
      await expect(tasks.work()).rejects.toThrow();
      await door.open();
      await tasks.work();
      for (const task of defined) await task.bulk([{}, {}]);
      await until(() => seen.length === 4);
      expect(seen.sort()).toEqual(['one', 'one', 'two', 'two']);
      expect(most).toBeLessThanOrEqual(2);
    } finally {
      await tasks.stop();
      await end();
    }
  });
});
