/** An engine whose jobs would be in another database than the entities is refused by name. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPostgresBackend, runMigrations } from 'bullmq';
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
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName as name } from '../support/jobs.ts';

const ENGINES: Readonly<Record<string, (url: string) => Promise<readonly [Engine, () => Promise<unknown>]>>> = {
  async 'pg-boss'(url) {
    const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
    await boss.start();
    return [pgBossEngine(boss), () => boss.stop({ graceful: false })];
  },
  async 'graphile-worker'(url) {
    return [graphileWorkerEngine(runnerOptions(url)), async () => undefined];
  },
  async 'BullMQ on PostgreSQL'(url) {
    const pool = new Pool({ connectionString: url, options: '-c search_path=bullmq' });
    const client = await pool.connect();
    await runMigrations(client as never, 'bullmq').finally(() => client.release());
    return [bullmqEngine({ connection: pool, backend: createPostgresBackend }), () => pool.end()];
  },
};

let entities: TestOrm;
let other: TestOrm;
beforeAll(async () => {
  entities = await openDatabase(domain);
  other = await openDatabase(domain);
  await entities.orm.em.getConnection().execute('create role byref_plain; grant byref_plain to current_user');
});
afterAll(async () => {
  await entities.orm.em.getConnection().execute('drop role byref_plain');
  await entities.close();
  await other.close();
});

describe.each(Object.entries(ENGINES))('%s', (engineName, open) => {
  const refusal = {
    code: 'E_UNSUPPORTED',
    message: expect.stringContaining(`The engine of ${engineName} in the database`),
  };

  test('is refused at work(), and at the first delay() in a transaction', async () => {
    const [engine, end] = await open(other.url);
    const tasks = new Tasks(new EntitySerializer(entities.orm), engine);
    try {
      const task = tasks.define(name(), async () => undefined);
      await expect(tasks.work()).rejects.toMatchObject(refusal);
      const delayed = entities.orm.em.fork().transactional(async (em) => {
        await expect(task.delay({}, { em })).rejects.toMatchObject(refusal);
        // What is refused is refused before it harms the transaction.
        await em.execute('select 1');
      });
      await delayed;
    } finally {
      await tasks.stop();
      await end();
    }
  });

  test('is taken in the same database, which is asked for once', async () => {
    const [engine, end] = await open(entities.url);
    const tasks = new Tasks(new EntitySerializer(entities.orm), engine);
    try {
      const task = tasks.define(name(), async () => undefined);
      await task.delay({});
      await tasks.work();
      await entities.orm.em.fork().transactional((em) => task.delay({}, { em }));
      entities.statements.length = 0;
      await entities.orm.em.fork().transactional((em) => task.delay({}, { em }));
      expect(entities.statements.join()).not.toContain('postmaster');
    } finally {
      await tasks.stop();
      await end();
    }
  });
});

test('BullMQ’s own classes are refused in a transaction', async () => {
  const pool = new Pool({ connectionString: other.url, options: '-c search_path=bullmq' });
  const { Queue } = byReference(new EntitySerializer(entities.orm));
  const queue = new Queue(name(), { connection: pool }, createPostgresBackend);
  try {
    const added = entities.orm.em.fork().transactional(() => queue.add('job', {}));
    await expect(added).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
  } finally {
    await queue.close();
    await pool.end();
  }
});

test('a role that may not ask for the system is asked for less', async () => {
  const [engine, end] = await ENGINES['pg-boss']!(entities.url);
  const [elsewhere, endElsewhere] = await ENGINES['pg-boss']!(other.url);
  try {
    await entities.orm.em.getConnection().execute('revoke execute on function pg_control_system() from public');
    await entities.orm.em.fork().transactional(async (em) => {
      await em.execute('set local role byref_plain');
      await expect(elsewhere.enqueue([], em)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
      await expect(engine.enqueue([], em)).resolves.toEqual([]);
      await em.execute('select 1');
    });
  } finally {
    await end();
    await endElsewhere();
  }
});
