/** Connections that are cut inside transactions give their place in the pool back, whichever way they are cut. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { PgBoss } from 'pg-boss';
import { domain } from '../../fixtures/domain.ts';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { queueName as name, until } from '../support/jobs.ts';
import { openProxied, type Proxied } from '../support/proxied.ts';

const POOL = 3;
/** More than there are places. */
const CUTS = 20;

let proxied: Proxied;
let orm: MikroORM;

beforeAll(async () => {
  proxied = await openProxied(domain);
});
afterAll(() => proxied.close());
beforeEach(() => {
  orm = proxied.openOrm({}, { pool: { min: 0, max: POOL } });
});
afterEach(() => proxied.closeOrms());

async function cut(em: EntityManager): Promise<void> {
  const [{ pid }] = (await em.execute('select pg_backend_pid() as pid')) as [{ pid: number }];
  await proxied.execute(`select pg_terminate_backend(${pid})`);
  await until(async () => (await proxied.execute(`select from pg_stat_activity where pid = ${pid}`)).length === 0);
  // The client is told.
  await sleep(50);
}

async function cutDuringQuery(em: EntityManager): Promise<void> {
  const [{ pid }] = (await em.execute('select pg_backend_pid() as pid')) as [{ pid: number }];
  const query = em.execute('select pg_sleep(30)');
  query.catch(() => undefined);
  await sleep(10);
  await proxied.execute(`select pg_terminate_backend(${pid})`);
  await query;
}

const onPurpose = (): never => {
  throw new Error('on purpose');
};

/** What is done in a transaction, which fails in any case. */
const ways: Readonly<Record<string, (em: EntityManager) => Promise<unknown>>> = {
  'idle in a transaction': cut,
  'idle, and the work fails by itself': async (em) => {
    await cut(em);
    onPurpose();
  },
  nested: (em) => em.transactional(cut),
  'while a query is under way': cutDuringQuery,
  'while a nested query is under way': (em) => em.transactional(cutDuringQuery),
  'the answer to COMMIT is lost': async (em) => {
    await em.execute('select 1');
    proxied.proxy.commitAnswer = 'lose';
  },
  'at COMMIT': async (em) => {
    await em.execute('select 1');
    proxied.proxy.cutAt = 'commit';
  },
  'at ROLLBACK': async (em) => {
    await em.execute('select 1');
    proxied.proxy.cutAt = 'rollback';
    onPurpose();
  },
};

/** A transaction that fails by a cut. */
async function fail(work: (em: EntityManager) => Promise<unknown>): Promise<void> {
  await expect(orm.em.fork().transactional(work)).rejects.toThrow();
  Object.assign(proxied.proxy, { commitAnswer: 'pass', cutAt: undefined });
}

/** All places of the pool at once. */
async function fillPool(): Promise<void> {
  let [inside, most] = [0, 0];
  const works = Array.from({ length: POOL }, () =>
    orm.em.fork().transactional(async (em) => {
      most = Math.max(most, ++inside);
      await until(() => most === POOL);
      await em.execute('select 1');
      inside--;
    }),
  );
  await Promise.all(works);
}

describe('after more cuts than there are places, all places are there', () => {
  test.each(Object.entries(ways))('%s', async (_, work) => {
    void new Tasks(new EntitySerializer(orm), inlineEngine());
    for (let count = 0; count < CUTS; count++) await fail(work);
    await fillPool();
  });

  test('at BEGIN', async () => {
    void new Tasks(new EntitySerializer(orm), inlineEngine());
    for (let count = 0; count < CUTS; count++) {
      proxied.proxy.cutAt = 'begin';
      await fail(async () => undefined);
    }
    await fillPool();
  });

  test('by hand, without a rollback after a COMMIT that failed', async () => {
    void new Tasks(new EntitySerializer(orm), inlineEngine());
    for (let count = 0; count < CUTS; count++) {
      const em = orm.em.fork();
      await em.begin();
      await cut(em);
      await expect(em.commit()).rejects.toThrow();
    }
    await fillPool();
  });

  test('a pool that was not cut is as it was: no listener stays on a client, and each is given back once', async () => {
    void new Tasks(new EntitySerializer(orm), inlineEngine());
    const counts = new Set<number>();
    for (let count = 0; count < 30; count++) {
      await orm.em.fork().transactional(async (em) => {
        await em.execute('select 1');
      });
      if (!isMikroOrm6) {
        const pool = (await (
          orm.em.getConnection() as unknown as { getNativeClient(): Promise<unknown> }
        ).getNativeClient()) as {
          _clients: { listenerCount(event: string): number }[];
        };
        for (const client of pool._clients) counts.add(client.listenerCount('end') + client.listenerCount('error'));
      }
    }
    await fillPool();
    expect(counts.size).toBeLessThanOrEqual(1);
  });
});

test('workers of transactional tasks, and producers, go on', async () => {
  const serializer = new EntitySerializer(orm);
  const boss = new PgBoss({ connectionString: proxied.database.url, supervise: false, schedule: false });
  await boss.start();
  const tasks = new Tasks(serializer, pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }));
  const seen: number[] = [];
  const task = tasks.define(
    name(),
    async (_: unknown, job) => {
      seen.push(job.attempt);
      if (job.attempt <= 2) await cut(job.em as EntityManager);
    },
    { transactional: true, retries: { limit: 4, delayMs: 0, backoff: false } },
  );
  try {
    for (let count = 0; count < 4; count++) {
      await fail(async (em) => {
        await task.delay({}, { em });
        await cut(em);
      });
    }
    const handles = [await task.delay({}), await task.delay({})];
    await tasks.work();
    for (const handle of handles) await until(async () => (await handle.state()) === 'completed');
    expect(seen.toSorted()).toEqual([1, 1, 2, 2, 3, 3]);
  } finally {
    await tasks.stop();
    await boss.stop({ graceful: false });
  }
});

if (!isMikroOrm6) {
  test('where the pool is the application’s own and has no place left, that is told', async () => {
    const { Kysely, PostgresDialect } = await import('kysely');
    const { Pool } = await import('pg');
    const pool = new Pool({ connectionString: proxied.database.url, max: 1 });
    const kysely = new Kysely({ dialect: new PostgresDialect({ pool }) });
    orm = proxied.openOrm(kysely);
    void new Tasks(new EntitySerializer(orm), inlineEngine());
    pool.on('error', () => undefined);
    const transaction = (): Promise<unknown> => orm.em.fork().transactional(async (em) => em.execute('select 1'));
    await transaction();
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const holder = await pool.connect();
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    const waiting = transaction();
    // How many steps there are before BEGIN is MikroORM's own affair.
    for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
    jest.advanceTimersByTime(31_000);
    jest.useRealTimers();
    holder.release();
    await waiting;
    expect(warned).toHaveBeenCalledWith(expect.stringMatching(/30 seconds.*pool/s), {
      type: 'ByReferenceWarning',
      code: 'BYREF_STARVED_POOL',
    });
    warned.mockRestore();
  });
}
