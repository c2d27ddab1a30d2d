/** What goes wrong at the edges of tasks: transactions that have ended, shared queues, results and errors. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { defineDto, field } from 'mikro-orm-byref/class-transformer';
import { byReference, pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { inlineEngine, type JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { queueName as name, until } from '../support/jobs.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let boss: PgBoss;
const started: Tasks[] = [];
type Options = ConstructorParameters<typeof Tasks>[2];

const tasksOn = (engine = pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }), options: Options = {}): Tasks => {
  const tasks = new Tasks(serializer, engine, options);
  started.push(tasks);
  return tasks;
};
const fork = (): EntityManager => database.orm.em.fork();
const fast = { limit: 2, delayMs: 0, backoff: false } as const;
const ended = async (handle: JobHandle<unknown>): Promise<unknown[]> => {
  await until(async () => ['completed', 'failed'].includes((await handle.state()) ?? ''));
  return [await handle.state(), await handle.attempt()];
};
const failure = async (handle: JobHandle<unknown>): Promise<string> => {
  await ended(handle);
  return handle.result().then(
    () => 'none',
    (error: { failure: unknown }) => JSON.stringify(error.failure),
  );
};

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm, { signingKeys: ['a secret of thirty-two bytes, ok'] });
  boss = await new PgBoss({ connectionString: database.url, supervise: false, schedule: false }).start();
});
afterAll(async () => {
  for (const tasks of started) await tasks.stop();
  await boss.stop({ graceful: false });
  await database.close();
});
beforeEach(async () => {
  await database.orm.em.getConnection().execute('truncate "user" cascade');
  const em = fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  em.create(User, { id: 2, name: 'Bob', email: 'bob@example.org' });
  await em.flush();
});

describe('context', () => {
  const withTenant = (of: { tenant: string }, current: { tenant?: unknown }): Options => ({
    context: {
      capture: () => ({ tenant: of.tenant }),
      async run(context, _em, next) {
        current.tenant = (context as { tenant?: string } | undefined)?.tenant;
        await next();
      },
    },
  });

  test('jobs of two contexts are two batches', async () => {
    const [of, current] = [{ tenant: 'acme' }, {} as { tenant?: unknown }];
    const tasks = tasksOn(undefined, withTenant(of, current));
    const seen: unknown[] = [];
    const task = tasks.define(
      name(),
      async (list: { n: string }[]) => void seen.push(...list.map(({ n }) => [n, current.tenant])),
      { batch: true },
    );
    await task.delay({ n: 'of acme' });
    of.tenant = 'other';
    await task.delay({ n: 'of other' });
    await tasks.work();
    await until(() => seen.length === 2);
    expect(seen).toEqual(
      expect.arrayContaining([
        ['of acme', 'acme'],
        ['of other', 'other'],
      ]),
    );
  });

  test('that of a job without the demanded signature is not believed', async () => {
    const seen: unknown[] = [];
    const tasks = tasksOn(undefined, {
      signed: { purpose: 'jobs' },
      context: {
        capture: () => 'mine',
        async run(context, _em, next) {
          seen.push(context);
          await next();
        },
      },
    });
    const task = tasks.define(name(), async () => undefined);
    const forged = { $byref: 1, data: {}, task: { name: task.taskName, context: 'forged' } };
    const handle = await task.delay({});
    const sent = await boss.send(task.taskName, forged, { singletonKey: 'x' });
    await tasks.work();
    await ended(handle);
    expect(await failure(task.handle(sent!) as JobHandle<unknown>)).toContain('E_BAD_SIGNATURE');
    expect(seen).toContain('mine');
    expect(seen).not.toContain('forged');
  });

  test('one that fails is the job’s failure; one after the work does not repeat it', async () => {
    let runs = 0;
    const tasks = tasksOn(undefined, {
      context: {
        capture: () => null,
        async run(_context, _em, next) {
          await next();
          throw new Error('after the work');
        },
      },
    });
    const task = tasks.define(name(), async () => void runs++, { retries: fast });
    const handle = await task.delay({});
    await tasks.work();
    expect([await ended(handle), runs]).toEqual([['completed', 1], 1]);
  });
});

describe('transactions', () => {
  test('a deduplicated job does not run before the change that it is about is committed', async () => {
    const tasks = tasksOn();
    const seen: string[] = [];
    const task = tasks.define(name(), async ({ user }: { user: User }) => void seen.push(user.name));
    const first = await task.delay({ user: fork().getReference(User, 1) }, { dedupe: 1 });
    const em = fork();
    await em.begin();
    const user = await em.findOneOrFail(User, 1);
    user.name = 'Changed';
    await em.flush();
    expect((await task.delay({ user }, { dedupe: 1, em })).id).toBe(first.id);
    await tasks.work();
    // A job of the same queue that comes later is over before it.
    await ended(await task.delay({ user: fork().getReference(User, 2) }));
    expect(seen).toEqual(['Bob']);
    await em.commit();
    await ended(first);
    expect(seen).toEqual(['Bob', 'Changed']);
  });

  test.each([
    ['pg-boss', () => tasksOn()],
    ['inline', () => tasksOn(inlineEngine())],
  ])('entities of a transaction that was rolled back can be sent: %s', async (_name, make) => {
    const tasks = make();
    const task = tasks.define(name(), async ({ user }: { user: User }) => user.name);
    await tasks.work();
    let user: User | undefined;
    const failing = fork().transactional(async (em) => {
      user = await em.findOneOrFail(User, 1);
      throw new Error('declined');
    });
    await expect(failing).rejects.toThrow('declined');
    const handle = await task.delay({ user: user! });
    expect(await ended(handle)).toEqual(['completed', 1]);
    await fork().transactional(async (em) => {
      await task.delay({ user: user! }, { em });
    });
  });

  test('a job that is enqueued after the commit says when there was none', async () => {
    const task = tasksOn(inlineEngine()).define(name(), async () => undefined);
    let handle: JobHandle<undefined> | undefined;
    await fork()
      .transactional(async (em) => {
        handle = await task.delay({}, { em });
        throw new Error('on purpose');
      })
      .catch(() => undefined);
    await expect(handle!.enqueued).rejects.toThrow('rolled back');
    expect(await handle!.state()).toBeUndefined();
  });

  test('a job within a job, and a worker started in a transaction, have an EntityManager of their own', async () => {
    const tasks = tasksOn(inlineEngine());
    const inner = tasks.define(name(), async (_args: object, job) => job.em.isInTransaction());
    const outer = tasks.define(name(), async ({ user }: { user: User }, job) => {
      user.name = 'set by the outer job';
      await inner.delay({});
      await job.em.flush();
    });
    await tasks.work();
    const handle = await fork().transactional(async (em) => outer.delay({ user: em.getReference(User, 2) }));
    await handle.enqueued;
    expect((await fork().findOneOrFail(User, 2)).name).toBe('set by the outer job');

    await fork().transactional(async (em) => {
      const user = await em.findOneOrFail(User, 1);
      user.name = 'pending';
      expect(await (await inner.delay({}, { em: fork() })).result()).toBe(false);
    });
    expect((await fork().findOneOrFail(User, 1)).name).toBe('pending');

    const worker = tasksOn();
    const task = worker.define(name(), async ({ user }: { user: User }) => user.name);
    await fork().transactional(async (em) => {
      await em.findOneOrFail(User, 1);
      await worker.work();
    });
    expect(await ended(await task.delay({ user: fork().getReference(User, 1) }))).toEqual(['completed', 1]);
  });
});

describe('results', () => {
  test('one that can’t be kept undoes no job, neither its own nor others of its batch', async () => {
    const tasks = tasksOn();
    let runs = 0;
    const unflushed = tasks.define(
      name(),
      async (_args: object, { em }) => {
        runs++;
        return em.create(User, { id: 50, name: 'N', email: 'n@example.org' });
      },
      { retries: fast },
    );
    const batch = tasks.define(
      name(),
      async (list: { n: number }[]) => list.map(({ n }) => (n === 2 ? ((() => n) as never) : n)),
      { batch: true },
    );
    const [handle, ...handles] = [await unflushed.delay({}), ...(await batch.bulk([1, 2, 3].map((n) => ({ n }))))];
    await tasks.work();
    expect([await ended(handle), runs]).toEqual([['completed', 1], 1]);
    expect(await handle.result()).toBeUndefined();
    const states = await Promise.all(handles.map(ended));
    expect(states).toEqual([
      ['completed', 1],
      ['completed', 1],
      ['completed', 1],
    ]);
    expect(await Promise.all(handles.map((own) => own.result()))).toEqual([1, undefined, 3]);
  });

  test('a transactional task flushes before its result is kept, and keeps its work without one', async () => {
    const tasks = tasksOn();
    const create = tasks.define(
      name(),
      async ({ id }: { id: number }, { em }) => {
        const user = em.create(User, { id, name: 'New', email: 'n@example.org' });
        return id === 60 ? user : ((() => user) as never);
      },
      { transactional: true, retries: fast },
    );
    const [kept, silent] = await create.bulk([{ id: 60 }, { id: 61 }]);
    await tasks.work();
    expect(await ended(kept!)).toEqual(['completed', 1]);
    expect((await kept!.result({ em: fork() }))!.name).toBe('New');
    expect(await ended(silent!)).toEqual(['completed', 1]);
    expect(await fork().count(User, { id: 61 })).toBe(1);
  });

  test('an error of the handler is one to retry, whatever it is', async () => {
    const tasks = tasksOn();
    const task = tasks.define(
      name(),
      async (_args: object, { attempt }) => {
        if (attempt === 1) serializer.serialize(() => 1);
        // oxlint-disable-next-line no-throw-literal
        if (attempt === 2) throw Object.create(null);
        throw new Error('a\0b\uD800');
      },
      { retries: fast },
    );
    const handle = await task.delay({});
    await tasks.work();
    expect(await ended(handle)).toEqual(['failed', 3]);
    expect(await failure(handle)).toContain('a\uFFFDb\uFFFD');
  });

  test('what is kept of a failure quotes no row', async () => {
    const tasks = tasksOn();
    const failing = [
      async (em: EntityManager) => em.findOneOrFail(User, { email: 'private@example.org' }),
      async (em: EntityManager) => {
        em.create(User, { id: 70, name: 'private name' } as never);
        await em.flush();
      },
      async (em: EntityManager) =>
        em.insert(User, { id: 1, name: 'private name', email: 'private@example.org' } as never),
    ];
    for (const run of failing) {
      const task = tasks.define(name(), async (_args: object, { em }) => void (await run(em)), {
        retries: { limit: 0 },
      });
      const handle = await task.delay({});
      await tasks.work();
      expect(await failure(handle)).not.toMatch(/private/);
    }
  });
});

describe('queues', () => {
  test('tasks that share one have schedules of their own, and one concurrency', async () => {
    const tasks = tasksOn();
    const queue = name();
    const handler = async (): Promise<void> => undefined;
    const one = tasks.define('shared one', handler, { queue });
    const two = tasks.define('shared-two', handler, { queue });
    await one.schedule('0 1 * * *', {});
    await two.schedule('0 2 * * *', {});
    await two.schedule('0 3 * * *', {});
    expect((await boss.getSchedules(queue)).map(({ cron }) => cron).sort()).toEqual(['0 1 * * *', '0 3 * * *']);
    const define = (): unknown => tasks.define('shared three', handler, { queue, concurrency: 4 });
    expect((await failureOf(define)).code).toBe('E_INVALID_OPTION');
  });

  test('workers are started once, and stopped by those who started them', async () => {
    const [mine, others] = [tasksOn(), tasksOn()];
    const queue = name();
    let [now, most] = [0, 0];
    const handler = async (): Promise<void> => {
      most = Math.max(most, ++now);
      await sleep(300);
      now--;
    };
    const task = mine.define(queue, handler);
    others.define(queue, handler);
    await mine.work();
    await mine.work();
    const handles = await task.bulk([{}, {}, {}]);
    for (const handle of handles) await ended(handle);
    expect(most).toBe(1);
    await others.work();
    await mine.stop();
    expect(await ended(await task.delay({}))).toEqual(['completed', 1]);
  });

  test('a batch gets no job of another task', async () => {
    const tasks = tasksOn();
    const seen: unknown[] = [];
    const task = tasks.define(name(), async (list: unknown[]) => void seen.push(...list), { batch: true });
    await task.delay({ mine: 1 });
    const foreign = { $byref: 1, data: { danger: 1 }, task: { name: 'another' } };
    const id = await boss.send(task.taskName, foreign, { singletonKey: 'x', retryLimit: 0 });
    await tasks.work();
    expect(await failure(task.handle(id!) as JobHandle<unknown>)).toContain('has no task');
    expect(seen).toEqual([{ mine: 1 }]);
  });

  test('a job that waits for its retry has had an attempt', async () => {
    const tasks = tasksOn();
    const task = tasks.define(
      name(),
      async () => {
        throw new Error('on purpose');
      },
      { retries: { limit: 3, delayMs: 60_000, backoff: false } },
    );
    const handle = await task.delay({}, { dedupe: 'k' });
    await tasks.work();
    await until(async () => (await handle.attempt()) === 1 && (await handle.state()) === 'waiting');
  });
});

describe('data without an envelope, which nobody has checked', () => {
  test.each([
    { only: [User] },
    {
      as: class Dto {
        note = '';
      },
    },
  ])('does not reach a handler with %p', async (options) => {
    if (options.as !== undefined) defineDto(options.as, { note: field() });
    const queue = name();
    const tasks = tasksOn();
    const seen: unknown[] = [];
    const task = tasks.define(queue, async (args: unknown) => void seen.push(args), options as never);
    await tasks.work();
    const id = (await boss.send(queue, { note: 'x', admin: true }))!;
    expect(await failure(task.handle(id))).toContain('E_MALFORMED');
    expect(seen).toEqual([]);
  });
});

describe('byReference', () => {
  test('what looks like an envelope in a request’s body is data', async () => {
    const queue = name();
    await boss.createQueue(queue);
    const own = byReference(serializer, boss);
    const body = JSON.parse('{"$byref":1,"data":{"note":{"$entity":["User",1]}}}') as object;
    await own.send(queue, body);
    const seen: unknown[] = [];
    await own.work(queue, { pollingIntervalSeconds: 0.5 }, async ([job]) => void seen.push(job!.data));
    await until(() => seen.length === 1);
    expect(seen).toEqual([body]);
    await own.offWork(queue);
  });

  test('methods that return the instance return this one; errors are rejections', async () => {
    const raw = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
    const own = byReference(serializer, raw);
    expect(own.on('error', () => undefined)).toBe(own);
    expect(await own.start()).toBe(own);
    expect(own.constructor).toBe(PgBoss);
    await expect(own.send('x', { bad: () => 1 })).rejects.toMatchObject({ code: 'E_UNSERIALIZABLE' });
    await own.stop({ graceful: false });
  });

  test('per-job results: each has its own end', async () => {
    const queue = name();
    await boss.createQueue(queue, { retryLimit: 0 });
    const own = byReference(serializer, boss);
    const ids = (await own.insert(
      queue,
      [1, 2, 3].map((n) => ({ data: { n } })),
      { returnId: true },
    ))!;
    const options = { pollingIntervalSeconds: 0.5, perJobResults: true, batchSize: 3 } as const;
    await own.work<{ n: number }>(queue, options, async (jobs) =>
      jobs.map(({ id, data: { n } }) => ({
        id,
        status: n === 3 ? 'failed' : 'completed',
        output: n === 1 ? ((() => 1) as never) : { n },
      })),
    );
    const state = async (id: string): Promise<string> => (await boss.findJobs(queue, { id }))[0]!.state;
    await until(async () => (await Promise.all(ids.map(state))).every((of) => of === 'completed' || of === 'failed'));
    expect((await Promise.all(ids.map(state))).sort()).toEqual(['completed', 'failed', 'failed']);
    await own.offWork(queue);
  });
});
