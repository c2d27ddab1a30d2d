import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, LockMode, RequestContext } from '@mikro-orm/core';
import { type Job, PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { byReference, pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Change, Tasks } from 'mikro-orm-byref/tasks';
import { Comment, domain, Post, User } from '../../fixtures/domain.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { bossDatabase } from '../support/boss-database.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { queueName as name, until } from '../support/jobs.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let boss: PgBoss;
const started: Tasks[] = [];

const bossOf = async (options: object = {}): Promise<PgBoss> => {
  const instance = new PgBoss({ connectionString: database.url, supervise: false, schedule: false, ...options });
  instance.on('error', () => undefined);
  return instance.start();
};
const tasksOf = (...args: [options?: ConstructorParameters<typeof Tasks>[2], instance?: PgBoss]): Tasks => {
  const tasks = new Tasks(serializer, pgBossEngine(args[1] ?? boss, { pollingIntervalSeconds: 0.5 }), args[0]);
  started.push(tasks);
  return tasks;
};

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
  boss = await bossOf();
});
afterAll(async () => {
  for (const tasks of started) await tasks.stop();
  await boss.stop({ graceful: false });
  await database.close();
});
beforeEach(async () => {
  await database.orm.em.getConnection().execute('truncate "user" cascade');
  const em = database.orm.em.fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  const post = em.create(Post, { id: 1, title: 'Hello', body: '', author: ann });
  em.create(Comment, { id: 1n, text: 'First', post, author: ann });
  await em.flush();
  database.statements.length = 0;
});

describe('one task over several models', () => {
  /** What a vote is for; no if over classes or ids. */
  type Votable = User | Post | Comment;

  test('polymorphic arguments', async () => {
    const tasks = tasksOf();
    const notify = tasks.define(
      name(),
      async ({ target }: { target: Votable }) => `${target.constructor.name} ${target.id}`,
    );
    const em = database.orm.em.fork();
    const targets = [em.getReference(User, 1), em.getReference(Post, 1), em.getReference(Comment, 1n)];
    const handles = await notify.bulk(targets.map((target) => ({ target })));
    await tasks.work();
    const results: unknown[] = [];
    for (const handle of handles) {
      await until(async () => (await handle.state()) === 'completed');
      results.push(await handle.result());
    }
    expect(results).toEqual(['User 1', 'Post 1', 'Comment 1']);
    expect(await notify({ target: await em.findOneOrFail(Post, 1) })).toBe('Post 1');
  });
});

describe('onFlush', () => {
  interface Seen {
    readonly change: string;
    readonly key: unknown;
    readonly title: string | undefined;
  }

  test('tells a task of each committed change, once per row and transaction', async () => {
    const own = await openDatabase(domain);
    const instance = new PgBoss({ connectionString: own.url, supervise: false, schedule: false });
    await instance.start();
    const tasks = new Tasks(new EntitySerializer(own.orm), pgBossEngine(instance, { pollingIntervalSeconds: 0.5 }));
    const seen: Seen[] = [];
    const index = tasks.define(
      'index',
      async ({ change, token, entity }: Change<Post>) => {
        seen.push({ change, key: token.primaryKey, title: entity?.title });
      },
      { missing: 'null' },
    );
    tasks.onFlush([Post], index);
    await tasks.work();
    /** Waits for the job of a row that comes later: jobs are run in their order. */
    const laterPost = async (id: number): Promise<void> => {
      const other = own.orm.em.fork();
      other.create(Post, { id, title: 'later', body: '', author: other.getReference(User, 1) });
      await other.flush();
      await until(() => seen.at(-1)?.key === id);
      seen.pop();
    };

    const em = own.orm.em.fork();
    const author = em.create(User, { id: 1, name: 'Ann', email: 'a@example.org' });
    const [first, second, third] = [1, 2, 3].map((id) => em.create(Post, { id, title: `${id}`, body: '', author }));
    await em.flush();
    await until(() => seen.length === 3);
    expect(seen.splice(0).sort((a, b) => Number(a.key) - Number(b.key))).toEqual(
      [1, 2, 3].map((key) => ({ change: 'create', key, title: `${key}` })),
    );

    // Two flushes, a savepoint that rolls back, and a row that comes and goes: one job for each row that changed.
    await em.transactional(async (tx) => {
      first!.title = 'once';
      await tx.flush();
      first!.title = 'twice';
      tx.remove(third!);
      await tx.flush();
      await tx
        .transactional(async (inner) => {
          (await inner.findOneOrFail(Post, 2)).title = 'rolled back';
          await inner.flush();
          throw new Error('on purpose');
        })
        .catch(() => undefined);
      const passing = tx.create(Post, { id: 4, title: 'passing', body: '', author });
      await tx.flush();
      tx.remove(passing);
    });
    await laterPost(5);
    expect(seen.splice(0).sort((a, b) => Number(a.key) - Number(b.key))).toEqual([
      { change: 'update', key: 1, title: 'twice' },
      { change: 'delete', key: 3, title: undefined },
    ]);

    // An event manager of its own makes no difference.
    const fresh = own.orm.em.fork({ freshEventManager: true });
    (await fresh.findOneOrFail(Post, 2)).title = 'fresh';
    await fresh.flush();
    await laterPost(7);
    expect(seen.splice(0)).toEqual([{ change: 'update', key: 2, title: 'fresh' }]);

    // Rolled back: nothing. Another class: nothing.
    const other = own.orm.em.fork();
    await other
      .transactional(async (tx) => {
        (await tx.findOneOrFail(Post, 2)).title = 'never';
        await tx.flush();
        throw new Error('on purpose');
      })
      .catch(() => undefined);
    (await other.findOneOrFail(User, 1)).name = 'Ann Lee';
    await other.flush();
    await laterPost(6);
    expect(seen).toEqual([]);
    expect(second!.title).toBeDefined();
    await tasks.stop();
    await instance.stop({ graceful: false });
    await own.close();
  });

  test('wants a task that bears a missing row', async () => {
    const tasks = tasksOf();
    const task = tasks.define(name(), async (_change: Change<Post>) => undefined);
    expect((await failureOf(() => tasks.onFlush([Post], task))).code).toBe('E_INVALID_OPTION');
    expect((await failureOf(() => tasks.onFlush([Post], (async () => undefined) as never))).code).toBe(
      'E_INVALID_OPTION',
    );
  });
});

describe('enqueueing in a transaction', () => {
  test('neither a cold queue cache nor a pool of one connection makes it wait', async () => {
    const cold = await bossOf({ max: 1 });
    const small = await openDatabase(domain, { pool: { min: 0, max: 1 } });
    const instance = new PgBoss({ connectionString: small.url, supervise: false, schedule: false, max: 1 });
    await instance.start();
    const tasks = new Tasks(new EntitySerializer(small.orm), pgBossEngine(instance, { pollingIntervalSeconds: 0.5 }));
    const task = tasks.define(name(), async ({ n }: { n: number }) => n);
    const handle = await small.orm.em.fork().transactional(async (em) => {
      await em.execute('select 1');
      return task.delay({ n: 1 }, { em });
    });
    await tasks.work();
    await until(async () => (await handle.state()) === 'completed');
    await tasks.stop();
    await instance.stop({ graceful: false });
    await cold.stop({ graceful: false });
    await small.close();
  });

  test('a process that dies before the commit leaves neither row nor job', async () => {
    const script = fileURLToPath(new URL('../support/dies-in-transaction.ts', import.meta.url));
    const producer = spawn(process.execPath, [script, database.url], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [id] = (await once(producer.stdout.setEncoding('utf8'), 'data')) as [string];
    producer.kill('SIGKILL');
    await once(producer, 'close');
    const task = tasksOf().define('half-way', async (_args: { user: User }) => undefined);
    expect(id).toMatch(/^[\w-]{36}\n$/);
    expect(await task.handle(id.trim()).state()).toBeUndefined();
    expect(await database.orm.em.fork().count(User, { id: 99 })).toBe(0);
  });

  test('a queue of another policy is refused', async () => {
    const queue = name();
    await boss.createQueue(queue);
    const task = tasksOf().define(queue, async () => undefined);
    const error = await failureOf(() => task.delay({}));
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('policy "short"')]);
  });
});

describe('options of Tasks', () => {
  test('context travels with the job, and runs around its handler', async () => {
    let tenant = 'acme';
    const seen: unknown[] = [];
    const tasks = tasksOf({
      context: {
        capture: () => ({ tenant }),
        async run(context, em, next) {
          em.setFilterParams('tenant', context as object);
          await next();
        },
      },
    });
    const task = tasks.define(name(), async (_args: object, { em }) => void seen.push(em.getFilterParams('tenant')));
    await task.delay({});
    tenant = 'other';
    await task.delay({});
    await tasks.work();
    await until(() => seen.length === 2);
    expect(seen).toEqual(expect.arrayContaining([{ tenant: 'acme' }, { tenant: 'other' }]));
  });

  test('signed jobs: a forged or unsigned one is discarded', async () => {
    serializer = new EntitySerializer(database.orm, { signingKeys: ['a secret of thirty-two bytes, ok'] });
    const tasks = tasksOf({ signed: { purpose: 'jobs' }, plain: 'refuse' });
    const queue = name();
    const task = tasks.define(queue, async ({ user }: { user: User }) => user.name);
    const handle = await task.delay({ user: database.orm.em.fork().getReference(User, 1) });
    const forged = await boss.send(
      queue,
      { $byref: 1, data: { user: { $entity: ['User', 1] } } },
      { singletonKey: '1' },
    );
    const plain = await boss.send(queue, { user: 1 }, { singletonKey: '2' });
    await tasks.work();
    await until(async () => (await handle.state()) === 'completed');
    expect(await handle.result()).toBe('Ann');
    for (const [id, code] of [
      [forged, 'E_BAD_SIGNATURE'],
      [plain, 'E_BAD_SIGNATURE'],
    ] as const) {
      await until(async () => (await task.handle(id!).state()) === 'failed');
      await expect(task.handle(id!).result()).rejects.toMatchObject({ failure: { code } });
    }
  });

  test('what the engine receives: retries, priority, delay, schedules', async () => {
    const queue = name();
    const task = tasksOf().define(queue, async (_args: { user: User }) => undefined, {
      retries: { limit: 7, delayMs: 2_500, backoff: false },
    });
    const user = database.orm.em.fork().getReference(User, 1);
    const { id } = await task.delay({ user }, { priority: 3, delayMs: 60_500 });
    const [job] = await boss.findJobs(queue, { id });
    expect(job).toMatchObject({ priority: 3, retryLimit: 7, retryDelay: 3, retryBackoff: false, policy: 'short' });
    const waitMs = job!.startAfter.getTime() - job!.createdOn.getTime();
    expect(Math.abs(waitMs - 60_500)).toBeLessThan(100);
    await task.schedule('0 4 * * *', { user }, { timeZone: 'Europe/Prague' });
    const [schedule] = await boss.getSchedules(queue);
    expect(schedule).toMatchObject({ cron: '0 4 * * *', timezone: 'Europe/Prague', options: { retryLimit: 7 } });
    expect(schedule!.data).toEqual({ $byref: 1, data: { user: { $entity: ['User', 1] } } });
  });

  test('bad definitions are E_INVALID_OPTION', async () => {
    const tasks = tasksOf();
    const handler = async (): Promise<void> => undefined;
    tasks.define('taken', handler, { queue: 'shared' });
    for (const define of [
      () => tasks.define('taken', handler),
      () => tasks.define('', handler),
      () => tasks.define('a', undefined as never),
      () => tasks.define('a', handler, { concurency: 1 } as never),
      () => tasks.define('a', handler, { retries: { limit: -1 } }),
      () => tasks.define('a', handler as never, { queue: 'shared', batch: true }),
      () => tasks.define('a', handler, { only: [Map] }),
      () => tasks.define('a', handler, { populate: { Psot: ['author'] } }),
      () => tasks.define('a', handler, { populate: { Post: ['autor'] } }),
      () => tasks.define('a', handler, { filters: { Psot: false } as never }),
      () => tasks.define('a', handler, { lockMode: LockMode.PESSIMISTIC_WRITE }),
      () => new Tasks(serializer, pgBossEngine(boss), { plain: 'drop' as never }),
      () => new Tasks(new EntitySerializer(database.orm), pgBossEngine(boss), { signed: { purpose: 'jobs' } }),
      () => byReference(serializer, boss, { only: [Map] }),
      () => byReference(serializer, boss, { populate: { Post: ['autor'] } }),
    ]) {
      expect((await failureOf(define)).code).toBe('E_INVALID_OPTION');
    }
    const task = tasks.define('delayed', handler);
    expect((await failureOf(() => task.delay({}, { delayMs: -1 }))).code).toBe('E_INVALID_OPTION');
  });

  test('tasks that share a queue, and a task that this process does not have', async () => {
    const tasks = tasksOf();
    const queue = name();
    const ran: string[] = [];
    const one = tasks.define(name(), async () => void ran.push('one'), { queue });
    const two = tasks.define(name(), async () => void ran.push('two'), { queue });
    const elsewhere = tasksOf().define(name(), async () => undefined, { queue, retries: { limit: 0 } });
    const lost = await elsewhere.delay({});
    await one.delay({});
    await two.delay({});
    await tasks.work();
    await until(() => ran.length === 2);
    expect(ran).toEqual(['one', 'two']);
    await until(async () => (await lost.state()) === 'failed');
    await expect(lost.result()).rejects.toThrow('has no task');
  });
});

describe('pg-boss’s own API by reference', () => {
  type Data = { user: User; n: number };
  const wrapped = (...[options]: [Parameters<typeof byReference>[2]?]): PgBoss =>
    byReference(serializer, boss, options);
  const workOptions = { pollingIntervalSeconds: 0.5 } as const;
  const found = (queue: string, id: string | null) => boss.findJobs(queue, { id: id! }).then(([job]) => job!);
  const user = (em: EntityManager = database.orm.em.fork()): User => em.getReference(User, 1);

  test('send, insert and work: tokens in the table, rows in the handler, one query per batch', async () => {
    const queue = name();
    await boss.createQueue(queue);
    const own = wrapped();
    const id = await own.send(queue, { user: user(), n: 0 });
    await own.send({ name: queue, data: { user: user(), n: 1 } });
    await own.insert(
      queue,
      [2, 3].map((n) => ({ data: { user: user(), n } })),
    );
    expect((await found(queue, id)).data).toEqual({ $byref: 1, data: { user: { $entity: ['User', 1] }, n: 0 } });
    await database.orm.em.fork().nativeUpdate(User, 1, { email: 'new@example.org' });
    database.statements.length = 0;
    const seen: unknown[] = [];
    await own.work<Data>(queue, { ...workOptions, batchSize: 4 }, async (jobs) => {
      expect(jobs.every((job) => job.data.user === jobs[0]!.data.user && job.signal instanceof AbortSignal)).toBe(true);
      expect(RequestContext.getEntityManager()!.getUnitOfWork().getById(User, 1)).toBe(jobs[0]!.data.user);
      seen.push(...jobs.map(({ data }) => [data.user.email, data.n]));
    });
    await until(() => seen.length === 4);
    expect(seen.sort()).toEqual([0, 1, 2, 3].map((n) => ['new@example.org', n]));
    expect(selects(database.statements)).toHaveLength(1);
    await own.offWork(queue, { wait: true });
  });

  test('a missing row is dead-lettered without a retry; plain data and results as ever', async () => {
    const [queue, dead] = [name(), name()];
    await boss.createQueue(dead);
    await boss.createQueue(queue, { deadLetter: dead, retryLimit: 3 });
    const own = wrapped({ retryMissingForMs: 0 });
    const gone = await own.send(queue, { user: database.orm.em.fork().getReference(User, 404), n: 1 });
    const plain = await boss.send(queue, { userId: 7 });
    const good = await own.send(queue, { user: user(), n: 2 });
    await own.work<Data>(queue, workOptions, async ([job]) => ({ got: job!.data.n ?? job!.data }));
    await until(
      async () => (await found(queue, good)).state === 'completed' && (await found(queue, plain)).state === 'completed',
    );
    expect((await found(queue, good)).output).toEqual({ $byref: 1, data: { got: 2 } });
    expect((await found(queue, plain)).output).toEqual({ $byref: 1, data: { got: { userId: 7 } } });
    await until(async () => (await found(queue, gone)).state === 'failed');
    expect(await found(queue, gone)).toMatchObject({ retryCount: 0, output: { code: 'E_ENTITY_NOT_FOUND' } });
    const [letter] = await boss.fetch<object>(dead);
    expect(letter!.data).toMatchObject({ data: { user: { $entity: ['User', 404] } } });
    await own.offWork(queue, { wait: true });
  });

  test('a handler that throws is retried with the original data; per-job results', async () => {
    const queue = name();
    await boss.createQueue(queue, { retryLimit: 2 });
    const own = wrapped();
    const seen: unknown[] = [];
    const id = await own.send(queue, { user: user(), n: 1 });
    await own.work<Data>(queue, { ...workOptions, perJobResults: true }, async (jobs: Job<Data>[]) => {
      seen.push(jobs[0]!.data.n);
      jobs[0]!.data.n = 99;
      if (seen.length === 1) throw new Error('on purpose');
      const status = seen.length === 2 ? 'failed' : 'completed';
      return jobs.map((job) => ({ id: job.id, status, output: { user: job.data.user } }) as const);
    });
    await until(async () => (await found(queue, id)).state === 'completed');
    expect(seen).toEqual([1, 1, 1]);
    expect((await found(queue, id)).output).toEqual({ $byref: 1, data: { user: { $entity: ['User', 1] } } });
    await own.offWork(queue, { wait: true });
  });

  test('in the application’s transaction, by pg-boss’s own means', async () => {
    const queue = name();
    await boss.createQueue(queue);
    const own = wrapped();
    const send = (em: EntityManager): Promise<string | null> =>
      own.send(queue, { user: user(em), n: 1 }, { db: bossDatabase(em) });
    let lost: string | null = null;
    await database.orm.em
      .fork()
      .transactional(async (em) => {
        lost = await send(em);
        throw new Error('on purpose');
      })
      .catch(() => undefined);
    const kept = await database.orm.em.fork().transactional(send);
    expect(await boss.findJobs(queue, { id: lost! })).toEqual([]);
    expect((await found(queue, kept)).state).toBe('created');
  });

  test('encode: false for the first step of a deploy; other members are the instance’s own', async () => {
    const queue = name();
    await boss.createQueue(queue);
    const own = wrapped({ encode: false });
    const id = await own.send(queue, { userId: 1 });
    expect((await found(queue, id)).data).toEqual({ userId: 1 });
    expect(own).toBeInstanceOf(PgBoss);
    expect(await own.getQueue(queue)).toMatchObject({ name: queue });
    expect((await failureOf(() => own.work(queue, { transactional: true }, async () => undefined))).code).toBe(
      'E_UNSUPPORTED',
    );
    for (const make of [() => wrapped({ plain: 'drop' } as never), () => byReference(boss as never, serializer)]) {
      expect((await failureOf(make)).code).toBe('E_INVALID_OPTION');
    }
  });
});
