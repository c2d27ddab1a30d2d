import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { makeWorkerUtils, type WorkerUtils } from 'graphile-worker';
import { Pool } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { type JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName as name, until } from '../support/jobs.ts';

type EngineArgs = Parameters<typeof graphileWorkerEngine>;

let database: TestOrm;
let serializer: EntitySerializer;
let utils: WorkerUtils;
const started: Tasks[] = [];

const tasksOf = (
  options?: ConstructorParameters<typeof Tasks>[2],
  runner: EngineArgs[0] = {},
  engineOptions: EngineArgs[1] = {},
): Tasks => {
  const { connectionString, ...rest } = runnerOptions(database.url);
  const where = runner.pgPool === undefined ? { connectionString } : {};
  const tasks = new Tasks(serializer, graphileWorkerEngine({ ...where, ...rest, ...runner }, engineOptions), options);
  started.push(tasks);
  return tasks;
};
const sql = (query: string, ...params: unknown[]): Promise<Record<string, unknown>[]> =>
  database.orm.em.fork().getConnection().execute(query, params);
const rows = (queue: string) => sql('select * from graphile_worker.jobs where task_identifier = ? order by id', queue);
const ended = (handle: JobHandle<unknown>) =>
  until(async () => ['completed', 'failed'].includes((await handle.state()) ?? ''));
const users = () => database.orm.em.fork().count(User, { id: { $gt: 1 } });

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
  utils = await makeWorkerUtils(runnerOptions(database.url));
});
afterAll(async () => {
  for (const tasks of started) await tasks.stop();
  await utils.release();
  await database.close();
});
beforeEach(async () => {
  await sql('truncate "user" cascade');
  const em = database.orm.em.fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.flush();
});

describe('enqueueing', () => {
  test('the job is a row of the transaction: committed and rolled back with it', async () => {
    const queue = name();
    const task = tasksOf().define(queue, async (_args: { user: User }) => undefined);
    const enqueue = (ends: boolean) =>
      database.orm.em.fork().transactional(async (em) => {
        const handle = await task.delay({ user: em.getReference(User, 1) });
        expect(await rows(queue)).toHaveLength(0);
        if (!ends) throw new Error('on purpose');
        return handle;
      });
    await expect(enqueue(false)).rejects.toThrow('on purpose');
    expect(await rows(queue)).toHaveLength(0);
    const { id } = await enqueue(true);
    expect(await rows(queue)).toMatchObject([{ key: id, attempts: 0, max_attempts: 6 }]);
  });

  test('a pool of one connection does not make it wait, nor does another transaction that names a new queue', async () => {
    const small = await openDatabase(domain, { pool: { min: 0, max: 1 } });
    const tasks = new Tasks(new EntitySerializer(small.orm), graphileWorkerEngine(runnerOptions(small.url)));
    const other = new Tasks(serializer, graphileWorkerEngine(runnerOptions(small.url)));
    const queue = name();
    const task = tasks.define(queue, async ({ n }: { n: number }) => n);
    const second = other.define(queue, async ({ n }: { n: number }) => n);
    const handles = await small.orm.em.fork().transactional(async (em) => {
      await em.execute('select 1');
      return [await task.delay({ n: 1 }, { em }), await second.delay({ n: 2 }, { em: database.orm.em.fork() })];
    });
    await tasks.work();
    for (const handle of handles) await ended(handle);
    await tasks.stop();
    await other.stop();
    await small.close();
  });

  test('the payload is the data, whatever its characters, in a transaction and outside', async () => {
    const queue = name();
    const task = tasksOf().define(queue, async (args: object) => args);
    const args = { text: `? \\? $1 'quoted' "double" \\ \u2028 ü :name`, $key: ['?'] };
    const handles = [
      await task.delay(args),
      await database.orm.em.fork().transactional((em) => task.delay(args, { em })),
    ];
    await started.at(-1)!.work();
    for (const handle of handles) {
      await ended(handle);
      expect(await handle.result()).toEqual(args);
    }
  });

  test('what graphile-worker receives: attempts, priority, delay; and the delays of retries', async () => {
    const queue = name();
    const tasks = tasksOf();
    const task = tasks.define(queue, async () => Promise.reject(new Error('on purpose')), {
      retries: { limit: 7, delayMs: 60_000, backoff: true },
    });
    await task.delay({}, { priority: 3, delayMs: 60_500 });
    const [delayed] = await sql(
      'select *, extract(epoch from run_at - created_at)::float8 as wait from graphile_worker.jobs where task_identifier = ?',
      queue,
    );
    expect(delayed).toMatchObject({ priority: -3, max_attempts: 8 });
    expect(delayed!['wait']).toBeCloseTo(60.5, 0);
    const [id] = [String(delayed!['id'])];
    await tasks.work();
    for (const [attempt, seconds] of [
      [1, 60],
      [2, 120],
      [3, 240],
    ] as const) {
      await utils.rescheduleJobs([id], { runAt: new Date() });
      const waits = () =>
        sql(
          'select extract(epoch from run_at - now())::float8 as wait from graphile_worker.jobs where id = ? and attempts = ? and locked_at is null',
          id,
          attempt,
        );
      await until(async () => Number((await waits())[0]?.['wait'] ?? 0) > 30);
      expect(Math.abs(Number((await waits())[0]!['wait']) - seconds)).toBeLessThan(20);
    }
    expect(await rows(queue)).toMatchObject([{ last_error: 'on purpose' }]);
  });
});

describe('dedupe', () => {
  test('two transactions at once: the second waits for the first, and has its job or, rolled back, its own', async () => {
    for (const commits of [true, false]) {
      const queue = name();
      const task = tasksOf().define(queue, async (_args: object) => undefined);
      const other = tasksOf().define(queue, async (_args: object) => undefined);
      const { promise: isEnqueued, resolve } = Promise.withResolvers<void>();
      let first: JobHandle<unknown> | undefined;
      const one = database.orm.em.fork().transactional(async (em) => {
        first = await task.delay({ n: 1 }, { em, dedupe: 'same' });
        resolve();
        await sleep(100);
        if (!commits) throw new Error('on purpose');
      });
      const two = isEnqueued.then(() =>
        database.orm.em.fork().transactional((em) => other.delay({ n: 2 }, { em, dedupe: 'same' })),
      );
      await one.catch(() => undefined);
      const second = await two;
      expect(second.id === first!.id).toBe(commits);
      expect(await rows(queue)).toMatchObject([{ key: second.id }]);
    }
  });

  test('many producers at once, in a transaction and outside: one job', async () => {
    const queue = name();
    const producers = Array.from({ length: 4 }, () => tasksOf().define(queue, async (_args: object) => undefined));
    const handles = await Promise.all(
      Array.from({ length: 20 }, (_, n) => {
        const task = producers[n % 4]!;
        // One transaction waits for another one for a second at most.
        if (n > 0) return task.delay({ n }, { dedupe: 'same' });
        return database.orm.em.fork().transactional((em) => task.delay({ n }, { em, dedupe: 'same' }));
      }),
    );
    expect(new Set(handles.map(({ id }) => id)).size).toBe(1);
    expect(await rows(queue)).toHaveLength(1);
  });

  test('the waiting job does not start before the transaction that met it has ended', async () => {
    const tasks = tasksOf();
    const emails: string[] = [];
    const task = tasks.define(name(), async ({ user }: { user: User }) => void emails.push(user.email));
    const user = database.orm.em.fork().getReference(User, 1);
    const outside = AsyncLocalStorage.snapshot();
    const first = await task.delay({ user }, { dedupe: user });
    await database.orm.em.fork().transactional(async (em) => {
      await em.nativeUpdate(User, 1, { email: 'new@example.org' });
      expect((await task.delay({ user }, { em, dedupe: user })).id).toBe(first.id);
      await tasks.work();
      // A job of the same queue that comes later is over before it.
      await outside(async () => ended(await task.delay({ user })));
      expect(emails).toEqual(['ann@example.org']);
    });
    await ended(first);
    expect(emails).toEqual(['ann@example.org', 'new@example.org']);
  });

  test('a job that has started, is retried or has failed is followed by another', async () => {
    const tasks = tasksOf();
    const { promise, resolve } = Promise.withResolvers<void>();
    const task = tasks.define(
      name(),
      async (_args: object, job) => {
        await promise;
        throw new Error(`attempt ${job.attempt}`);
      },
      { retries: { limit: 1, delayMs: 500, backoff: false } },
    );
    const first = await task.delay({}, { dedupe: 'same' });
    await tasks.work();
    await until(async () => (await first.state()) === 'active');
    const second = await task.delay({}, { dedupe: 'same', delayMs: 60_000 });
    expect(second.id).not.toBe(first.id);
    expect((await task.delay({}, { dedupe: 'same' })).id).toBe(second.id);
    resolve();
    await ended(first);
    expect([await first.state(), await first.attempt()]).toEqual(['failed', 2]);
    expect(await second.state()).toBe('waiting');
  });
});

describe('transactional tasks', () => {
  test('a worker that is killed leaves neither write nor completion; the job then has its effect once', async () => {
    const tasks = tasksOf();
    const task = tasks.define(
      'bill',
      async ({ n }: { n: number }, { em }) => {
        em.create(User, { id: n, name: 'Whole', email: 'whole@example.org' });
      },
      { transactional: true },
    );
    const handle = await task.delay({ n: 99 });
    const script = fileURLToPath(new URL('../support/dies-in-graphile-task.ts', import.meta.url));
    const worker = spawn(process.execPath, [script, database.url], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(worker.stdout, 'data');
    worker.kill('SIGKILL');
    await once(worker, 'close');
    expect([await users(), await handle.state(), await handle.attempt()]).toEqual([0, 'active', 1]);
    await utils.forceUnlockWorkers([String((await rows('bill'))[0]!['locked_by'])]);
    await tasks.work();
    await ended(handle);
    expect([await users(), await handle.state(), await handle.attempt()]).toEqual([1, 'completed', 2]);
    expect(await rows('bill')).toEqual([]);
  });

  test('a worker that has lost its job to another does not commit', async () => {
    const queue = name();
    const [slowEnds, fastEnds] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const errors: string[] = [];
    const define = (tasks: Tasks, id: number, before: Promise<void>) =>
      tasks.define(
        queue,
        async (_args: object, { em }) => {
          em.create(User, { id, name: 'A', email: `${id}@example.org` });
          await before;
          return id;
        },
        { transactional: true },
      );
    const context = {
      capture: () => null,
      run: (_context: unknown, _em: unknown, next: () => Promise<void>) =>
        next().catch((error: Error) => {
          errors.push(error.message);
          throw error;
        }),
    };
    const [slow, fast] = [tasksOf({ context }), tasksOf({ context })];
    const task = define(slow, 2, slowEnds.promise);
    define(fast, 3, fastEnds.promise);
    const handle = await task.delay({});
    await slow.work();
    await until(async () => (await handle.state()) === 'active');
    await utils.forceUnlockWorkers([String((await rows(queue))[0]!['locked_by'])]);
    await fast.work();
    await until(async () => (await handle.attempt()) === 2);
    slowEnds.resolve();
    await slow.stop();
    fastEnds.resolve();
    await ended(handle);
    expect(errors).toEqual([`Job ${handle.id} is no longer this worker's.`]);
    expect([await users(), await handle.result(), await handle.attempt()]).toEqual([1, 3, 2]);
    expect(await rows(queue)).toEqual([]);
  });

  test('jobs of another producer, without a key and in a named queue: each in turn, and the queue is freed', async () => {
    const tasks = tasksOf();
    const queue = name();
    const ids: string[] = [];
    tasks.define(
      queue,
      async ({ user, n }: { user: User; n: number }, job) => {
        ids.push(job.id);
        user.name = `${user.name}${n}`;
      },
      { transactional: true, concurrency: 3 },
    );
    const data = (n: number) => ({ $byref: 1, data: { user: { $entity: ['User', 1] }, n } });
    for (const n of [1, 2, 3]) await utils.addJob(queue, data(n), { queueName: 'in-turn' });
    const keys = (await rows(queue)).map(({ id }) => String(id));
    await tasks.work();
    await until(async () => (await rows(queue)).length === 0);
    expect(ids).toEqual(keys);
    expect((await database.orm.em.fork().findOneOrFail(User, 1)).name).toBe('Ann123');
  });
});

describe('stopping and batches', () => {
  test('stop waits until a job that fails meanwhile can be taken by another worker, at its time', async () => {
    const tasks = tasksOf();
    const queue = name();
    const { promise, reject } = Promise.withResolvers<void>();
    const task = tasks.define(queue, async () => promise, { retries: { delayMs: 60_000 } });
    const handle = await task.delay({});
    await tasks.work();
    await until(async () => (await handle.state()) === 'active');
    const stopped = tasks.stop();
    await sleep(300);
    reject(new Error('on purpose'));
    await stopped;
    const [job] = await sql(
      'select locked_at, extract(epoch from run_at - now())::float8 as wait from graphile_worker.jobs where key = ?',
      handle.id,
    );
    expect(job!['locked_at']).toBeNull();
    expect(Number(job!['wait'])).toBeGreaterThan(30);
  });

  test('batches of at most `batch`, one at a time; stop gives back what was locked ahead', async () => {
    const tasks = tasksOf();
    const sizes: number[] = [];
    let isRunning = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const task = tasks.define(
      name(),
      async (list: { n: number }[]) => {
        expect(isRunning).toBe(false);
        isRunning = true;
        sizes.push(list.length);
        await promise;
        isRunning = false;
      },
      { batch: 3 },
    );
    const handles = await task.bulk(Array.from({ length: 10 }, (_, n) => ({ n })));
    await tasks.work();
    await until(() => sizes.length > 0);
    await sleep(500);
    const stopped = tasks.stop();
    resolve();
    await stopped;
    const states = await Promise.all(handles.map(async (handle) => [await handle.state(), await handle.attempt()]));
    expect(sizes).toEqual([3]);
    expect(states.filter(([state]) => state === 'completed')).toHaveLength(3);
    expect(states.filter(([state, attempt]) => state === 'waiting' && attempt === 0)).toHaveLength(7);
    await tasks.work();
    for (const handle of handles) await ended(handle);
    expect(sizes.every((size) => size <= 3)).toBe(true);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(10);
  });
});

describe('what is kept of a job', () => {
  test('a discarded job is permanently failed in graphile-worker; started again by its means, it is alive', async () => {
    const tasks = tasksOf();
    const queue = name();
    const task = tasks.define(queue, async ({ user }: { user: User }) => user.name, { retryMissingForMs: 0 });
    const handle = await task.delay({ user: database.orm.em.fork().getReference(User, 404) });
    await tasks.work();
    await ended(handle);
    await until(async () => (await rows(queue))[0]!['locked_at'] === null);
    const [job] = await rows(queue);
    expect(job).toMatchObject({ attempts: 6, max_attempts: 6, last_error: expect.stringContaining('User') });
    await expect(handle.result()).rejects.toMatchObject({ failure: { code: 'E_ENTITY_NOT_FOUND' } });
    const em = database.orm.em.fork();
    em.create(User, { id: 404, name: 'Late', email: 'late@example.org' });
    await em.flush();
    await tasks.stop();
    await utils.rescheduleJobs([String(job!['id'])], { maxAttempts: 7, runAt: new Date() });
    expect(await handle.state()).toBe('waiting');
    await tasks.work();
    await until(async () => (await handle.state()) === 'completed');
    expect([await handle.result(), await handle.attempt()]).toEqual(['Late', 7]);
  });

  test('results go after keepResultsForMs, used dedupe keys too; 0 keeps nothing', async () => {
    const queue = name();
    const [brief, none] = [tasksOf({}, {}, { keepResultsForMs: 1 }), tasksOf({}, {}, { keepResultsForMs: 0 })];
    const task = brief.define(queue, async () => 'kept');
    const handle = await task.delay({}, { dedupe: 'used' });
    await brief.work();
    await until(async () => (await rows(queue)).length === 0);
    expect(await handle.result()).toBe('kept');
    await brief.stop();
    const held = () => sql('select from graphile_worker_byref.dedupe where job_key = ?', handle.id);
    expect(await held()).toHaveLength(1);
    await sql(`update graphile_worker_byref.dedupe set enqueued_at = now() - interval '1 hour'`);
    const other = none.define(queue, async () => 'not kept');
    const second = await other.delay({});
    await none.work();
    await until(async () => (await rows(queue)).length === 0 && (await handle.state()) === undefined);
    await until(async () => (await held()).length === 0);
    expect(await second.state()).toBeUndefined();
  });

  test('why a job failed is kept as long as the job', async () => {
    const queue = name();
    const retries = { limit: 0, delayMs: 0, backoff: false };
    const unknown = async (): Promise<unknown[]> => sql(`select from graphile_worker_byref.finished where id = ?`, id);
    const { id } = await tasksOf()
      .define(name(), async () => undefined, { queue, retries })
      .delay({});
    // Each has a sweep of its own.
    for (const step of [1, 2]) {
      const brief = tasksOf({}, {}, { keepResultsForMs: 1 });
      const task = brief.define(queue, async () => step, { retries });
      const done = await task.delay({});
      await brief.work();
      await until(async () => ['completed', undefined].includes(await done.state()) && (await unknown()).length === 1);
      await brief.stop();
      expect(await unknown()).toHaveLength(1);
    }
    await sql('select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs where key = ?))', id);
    const last = tasksOf({}, {}, { keepResultsForMs: 1 });
    await last.define(queue, async () => 3, { retries }).delay({});
    await last.work();
    await until(async () => (await unknown()).length === 0);
    await last.stop();
  });
});

describe('schedules', () => {
  test('another time zone is E_UNSUPPORTED, what is no cron expression E_INVALID_OPTION', async () => {
    const task = tasksOf().define(name(), async (_args: object) => undefined);
    const zone = await failureOf(() => task.schedule('0 4 * * *', {}, { timeZone: 'Europe/Prague' }));
    expect([zone.code, zone.message]).toEqual(['E_UNSUPPORTED', expect.stringContaining('UTC')]);
    expect((await failureOf(() => task.schedule('every day', {}))).code).toBe('E_INVALID_OPTION');
  });
});

describe('options', () => {
  test('a pool for all queues, which must be large enough to listen on; graphile-worker in another schema', async () => {
    // A worker that hears of a migration, of whatever schema, ends itself and sets the exit code 57.
    for (const tasks of started.splice(0)) await tasks.stop();
    const pgPool = new Pool({ connectionString: database.url, max: 3 });
    pgPool.on('error', () => undefined).on('connect', (client) => client.on('error', () => undefined));
    const tasks = tasksOf({}, { pgPool, schema: 'other "jobs"' });
    const task = tasks.define(name(), async () => 1);
    tasks.define(name(), async () => 2);
    await tasks.work();
    const handle = await task.delay({});
    await ended(handle);
    expect(await handle.result()).toBe(1);
    expect(await sql('select id from "other ""jobs""_byref".finished')).toEqual([{ id: handle.id }]);
    tasks.define(name(), async () => 3);
    const error = await failureOf(() => tasks.work());
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('at least 4')]);
    await tasks.stop();
    await pgPool.end();
  });

  test('bad ones are E_INVALID_OPTION, before they can abort a transaction', async () => {
    for (const make of [
      () => graphileWorkerEngine({ connectionString: database.url, concurrency: 5 } as never),
      () => graphileWorkerEngine({ connectionString: database.url, taskList: {} } as never),
      () => graphileWorkerEngine({ schema: '' }),
      () => graphileWorkerEngine({}, { keepResultsForMs: -1 }),
      () => graphileWorkerEngine({}, { keepResults: 1 } as never),
    ]) {
      expect((await failureOf(make)).code).toBe('E_INVALID_OPTION');
    }
    const handler = async (): Promise<void> => undefined;
    const tasks = tasksOf();
    for (const delay of [
      () => tasks.define(name(), handler).delay({}, { priority: 40_000 }),
      () => tasks.define(name(), handler, { retries: { limit: 32_767 } }).delay({}),
      () => tasks.define('q'.repeat(129), handler).delay({}),
    ]) {
      await database.orm.em.fork().transactional(async (em) => {
        expect((await failureOf(delay)).code).toBe('E_INVALID_OPTION');
        await em.execute('select 1');
      });
    }
  });
});
