import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import { type Job, Queue, Worker } from 'bullmq';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine, type BullMqEngineOptions } from 'mikro-orm-byref/bullmq';
import { type JobFailedError, Tasks } from 'mikro-orm-byref/tasks';
import { domain, Post, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { failureOf } from '../support/failure.ts';
import { queueName as name, until } from '../support/jobs.ts';

describeStores('BullMQ', ({ name: kind, open }) => {
  let database: TestOrm;
  let store: Store;
  const started: { stop(): Promise<unknown> }[] = [];

  const tasksOf = (options: Omit<BullMqEngineOptions, 'connection' | 'backend'> = {}): Tasks => {
    const place = { connection: store.connection, ...(store.backend[0] && { backend: store.backend[0] }) };
    const tasks = new Tasks(new EntitySerializer(database.orm), bullmqEngine({ ...place, ...options }));
    started.push(tasks);
    return tasks;
  };
  const ownQueue = (queue: string): Queue => {
    const own = new Queue(queue, { connection: store.connection as never }, ...(store.backend as []));
    started.push({ stop: () => own.close() });
    return own;
  };
  const em = (): EntityManager => database.orm.em.fork();

  beforeAll(async () => {
    database = await openDatabase(domain);
    store = await open(database.url);
  });
  afterAll(async () => {
    await store.close();
    await database.close();
  });
  beforeEach(async () => {
    await em().getConnection().execute('truncate "user" cascade');
    const own = em();
    own.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
    await own.flush();
  });
  afterEach(async () => {
    for (const one of started.splice(0)) await one.stop();
  });

  test('a worker that is killed in the middle: the job is run again, on PostgreSQL with its effects once', async () => {
    const tasks = tasksOf({ worker: { lockDuration: 1_000, stalledInterval: 1_000 } });
    const isTransactional = kind === 'PostgreSQL';
    const queue = name();
    const task = tasks.define(
      queue,
      async ({ user }: { user: User }, job) => {
        const before = await job.em.count(Post);
        await job.em.upsert(Post, { id: 78, title: 'done', body: '', author: user, version: 1 });
        return { before, attempt: job.attempt };
      },
      { transactional: isTransactional },
    );
    const handle = await task.delay({ user: await em().findOneOrFail(User, 1) });
    const script = fileURLToPath(new URL('../support/bullmq-worker.ts', import.meta.url));
    const worker = spawn(process.execPath, [script, kind, database.url, queue], { stdio: 'inherit' });
    const [, signal] = (await once(worker, 'exit')) as [null, string];
    expect([signal, await handle.state()]).toEqual(['SIGKILL', 'active']);
    await tasks.work();
    await until(async () => (await handle.state()) === 'completed');
    expect(await handle.result()).toEqual({ before: isTransactional ? 0 : 1, attempt: 2 });
  });

  test('dedupe: the waiting job does not start before the transaction of the second one has ended', async () => {
    const tasks = tasksOf();
    const seen: string[] = [];
    const task = tasks.define(name(), async ({ user }: { user: User }) => void seen.push(user.email));
    const first = await task.delay({ user: await em().findOneOrFail(User, 1) }, { dedupe: 'one' });
    await em().transactional(async (own) => {
      const user = await own.findOneOrFail(User, 1);
      user.email = 'new@example.org';
      await own.flush();
      const second = await task.delay({ user }, { dedupe: 'one' });
      if (kind === 'PostgreSQL') {
        await tasks.work();
        await sleep(500);
        expect([second.id, seen]).toEqual([first.id, []]);
      }
    });
    await tasks.work();
    await until(() => seen.length > 0);
    await sleep(200);
    expect(seen).toEqual(['new@example.org']);
  });

  test('dedupe: once a job has started, an equal one is another', async () => {
    const tasks = tasksOf();
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const seen: number[] = [];
    const task = tasks.define(name(), async ({ n }: { n: number }) => {
      seen.push(n);
      await gate;
    });
    await tasks.work();
    const first = await task.delay({ n: 1 }, { dedupe: 'one' });
    await until(() => seen.length === 1);
    const second = await task.delay({ n: 2 }, { dedupe: 'one' });
    const third = await task.delay({ n: 3 }, { dedupe: 'one' });
    go();
    await until(async () => (await second.state()) === 'completed');
    expect([second.id === first.id, third.id === second.id, seen]).toEqual([false, true, [1, 2]]);
  });

  test('batches come whole, and as many at once as concurrency says', async () => {
    const tasks = tasksOf();
    const sizes: number[] = [];
    const both = Promise.withResolvers<void>();
    let [running, most] = [0, 0];
    const task = tasks.define(
      name(),
      async (list: { n: number }[]) => {
        sizes.push(list.length);
        most = Math.max(most, ++running);
        if (running === 2) both.resolve();
        await both.promise;
        running--;
        return list.map(({ n }) => n * 2);
      },
      { batch: 10, concurrency: 2 },
    );
    const handles = await task.bulk(Array.from({ length: 25 }, (_, n) => ({ n })));
    await tasks.work();
    for (const [n, handle] of handles.entries()) {
      await until(async () => (await handle.state()) === 'completed');
      expect(await handle.result()).toBe(n * 2);
    }
    expect([sizes.slice(0, 2), most]).toEqual([[10, 10], 2]);
  });

  test('a schedule enqueues its data again and again', async () => {
    const tasks = tasksOf();
    const seen: string[] = [];
    const task = tasks.define(name(), async ({ user }: { user: User }) => void seen.push(user.email));
    await task.schedule('* * * * * *', { user: await em().findOneOrFail(User, 1) });
    await tasks.work();
    await until(() => seen.length >= 2);
    expect(new Set(seen)).toEqual(new Set(['ann@example.org']));
    await ownQueue(task.taskName).removeJobScheduler(task.taskName);
  });

  test('the queue’s own settings are the workers’ too: each run is reckoned as the first one was', async () => {
    const repeatStrategy = (ms: number): number => ms + 100;
    const tasks = tasksOf({ queue: { settings: { repeatStrategy } } });
    let runs = 0;
    const task = tasks.define(name(), async () => void runs++);
    // By BullMQ's own reckoning once a year.
    await task.schedule('0 0 1 1 *', {});
    await tasks.work();
    await until(() => runs >= 3);
    await ownQueue(task.taskName).removeJobScheduler(task.taskName);
  });

  test('finished jobs are kept for seven days, failures say what happened', async () => {
    const tasks = tasksOf();
    const task = tasks.define(name(), async ({ user }: { user: User }) => user.email, { retryMissingForMs: 0 });
    const handle = await task.delay({ user: em().getReference(User, 404) });
    await tasks.work();
    await until(async () => (await handle.state()) === 'failed');
    const { failure } = (await handle.result().catch((error: unknown) => error)) as JobFailedError;
    expect(failure).toMatchObject({
      name: 'ByReferenceError',
      code: 'E_ENTITY_NOT_FOUND',
      path: '$.user',
      tokens: [['User', 404]],
    });
    const stored = (await ownQueue(task.taskName).getJob(handle.id)) as Job;
    expect(stored.opts).toMatchObject({ removeOnComplete: { age: 604_800 }, removeOnFail: { age: 604_800 } });
    expect(stored.failedReason).toBe(failure.message);
  });

  test('a job that BullMQ itself has failed says so', async () => {
    const tasks = tasksOf();
    const task = tasks.define(name(), async () => undefined, { retries: { limit: 0 } });
    const handle = await task.delay({});
    const own = new Worker(task.taskName, null, { connection: store.connection as never }, ...(store.backend as []));
    const job = (await own.getNextJob('token')) as Job;
    await job.moveToFailed(new Error('given up by hand'), 'token');
    await own.close();
    await expect(handle.result()).rejects.toThrow(/given up by hand/);
  });

  test('what is on its way when the tasks stop still arrives', async () => {
    const tasks = tasksOf();
    const task = tasks.define(name(), async ({ n }: { n: number }) => n);
    const sending = Promise.all(Array.from({ length: 20 }, (_, n) => task.delay({ n })));
    await tasks.stop();
    await sending;
    expect(await ownQueue(task.taskName).count()).toBe(20);
  });

  test('a prefix is that of producers and workers', async () => {
    const tasks = tasksOf({ queue: { prefix: 'shop' } });
    const task = tasks.define(name(), async ({ n }: { n: number }) => n);
    const handle = await task.delay({ n: 1 });
    await tasks.work();
    await until(async () => (await handle.state()) === 'completed');
  });

  if (kind === 'PostgreSQL') {
    test('a pool that is too small for its listeners is refused', async () => {
      const tasks = tasksOf();
      for (let n = 0; n < 10; n++) tasks.define(name(), async () => undefined);
      const failure = await failureOf(() => tasks.work());
      expect([failure.code, failure.message]).toEqual([
        'E_INVALID_OPTION',
        expect.stringMatching(/max of at least 11/),
      ]);
    });
  }

  test('options are checked', async () => {
    const task = tasksOf().define(name(), async () => undefined);
    const inTransaction = em().transactional(() => task.delay({}, { priority: 2 ** 20 }));
    expect((await failureOf(() => inTransaction)).code).toBe('E_INVALID_OPTION');
    const misnamed = tasksOf();
    const colon = misnamed.define(`${name()}:mails`, async () => undefined);
    const delayed = em().transactional(() => colon.delay({}));
    expect((await failureOf(() => delayed)).code).toBe('E_INVALID_OPTION');
    expect((await failureOf(() => misnamed.work())).code).toBe('E_INVALID_OPTION');
    const mixed = kind === 'Redis' ? { backend: () => undefined } : {};
    const failure = await failureOf(() => bullmqEngine({ connection: store.connection, ...mixed }));
    expect(failure.code).toBe('E_INVALID_OPTION');
  });
});
