import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, RequestContext } from '@mikro-orm/core';
import { type FlowJob, type Job, type Processor, Queue, QueueEvents, type Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { EntitySerializer } from 'mikro-orm-byref';
import {
  byReference,
  type ByReferenceClasses,
  ByReferenceFlowProducer,
  ByReferenceQueue,
  ByReferenceWorker,
  type AdapterOptions,
} from 'mikro-orm-byref/bullmq';
import { Comment, domain, Post, User } from '../../fixtures/domain.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { failureOf } from '../support/failure.ts';
import { queueName as name, until } from '../support/jobs.ts';

describeStores('BullMQ', ({ name: kind, open }) => {
  let database: TestOrm;
  let serializer: EntitySerializer;
  let store: Store;
  const opened: { close(): Promise<void> }[] = [];

  const classes = (options?: AdapterOptions): ByReferenceClasses => byReference(serializer, options);
  const settings = (): { connection: never } => ({ connection: store.connection as never });
  function close<T extends { close(): Promise<void> }>(one: T): T {
    opened.push(one);
    return one;
  }
  const queueOf = <Data>(queue: string, options?: AdapterOptions) =>
    close(new (classes(options).Queue)<Data>(queue, settings(), ...store.backend));
  const workerOf = <Data, Result = unknown>(
    queue: string,
    processor: Processor<Data, Result>,
    options?: AdapterOptions,
  ) => close(new (classes(options).Worker)<Data, Result>(queue, processor, settings(), ...store.backend));
  /** What the store holds of a queue, as text. */
  const stored = async (queue: string): Promise<string> => {
    if (kind === 'PostgreSQL') {
      return JSON.stringify(await em().getConnection().execute('select * from bullmq.job where queue = ?', [queue]));
    }
    const client = new Redis(process.env['TEST_REDIS_URL']!);
    const keys = await client.keys(`bull:${queue}:*`);
    const texts = await Promise.all(
      keys.map(async (key) => ((await client.type(key)) === 'hash' ? JSON.stringify(await client.hgetall(key)) : '')),
    );
    client.disconnect();
    return texts.join('\n');
  };
  const em = (): EntityManager => database.orm.em.fork();
  const finished = async (queue: Queue, id: string): Promise<Job> => {
    await until(async () => ['completed', 'failed'].includes(await (await queue.getJob(id))!.getState()));
    return (await queue.getJob(id))!;
  };

  beforeAll(async () => {
    database = await openDatabase(domain);
    serializer = new EntitySerializer(database.orm);
    store = await open(database.url);
  });
  afterAll(async () => {
    await store.close();
    await database.close();
  });
  beforeEach(async () => {
    await em().getConnection().execute('truncate "user" cascade');
    const own = em();
    const ann = own.create(User, { id: 1, name: 'Ann', email: 'ann@old.example' });
    const post = own.create(Post, { id: 1, title: 'Hello', body: '', author: ann });
    own.create(Comment, { id: 1n, text: 'First', post, author: ann });
    await own.flush();
    database.statements.length = 0;
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  describe('data', () => {
    test('single, bulk and scheduled jobs carry tokens and arrive as the rows of now', async () => {
      const own = em();
      const ann = await own.findOneOrFail(User, 1);
      const queue = queueOf<{ user: User; due: Date }>(name());
      const due = new Date(0);
      const one = await queue.add('one', { user: ann, due });
      const many = await queue.addBulk([1, 2].map((n) => ({ name: `${n}`, data: { user: ann, due } })));
      const scheduled = await queue.upsertJobScheduler(
        'every',
        { every: 3_600_000 },
        { name: 'cron', data: { user: ann, due } },
      );
      expect(await stored(queue.name)).not.toMatch(/ann@|hunter2/);
      expect(one.data).toEqual(serializer.encode({ user: ann, due }));
      ann.email = 'ann@new.example';
      await own.flush();
      const seen: unknown[] = [];
      const worker = workerOf<{ user: User; due: Date }>(queue.name, async (job) => {
        expect(RequestContext.getEntityManager()!.getReference(User, 1)).toBe(job.data.user);
        seen.push([job.name, job.data.user.email, job.data.due]);
      });
      await until(() => seen.length === 4);
      expect(seen.sort()).toEqual(['1', '2', 'cron', 'one'].map((job) => [job, 'ann@new.example', due]));
      await until(async () => (await queue.getCompletedCount()) === 4);
      expect((await queue.getJob(one.id!))!.data).toEqual(one.data);
      // BullMQ writes the data of a scheduled job again, for the next one.
      const [next] = await queue.getDelayed();
      expect(next!.data).toEqual(one.data);
      expect([many.length, scheduled.name]).toEqual([2, 'cron']);
      await worker.close();
    });

    test('results, progress and updated data are stored as tokens; plain JSON stays plain', async () => {
      const queue = queueOf<{ user: User; step?: number }>(name());
      const events: unknown[] = [];
      const worker = workerOf<{ user: User; step?: number }>(queue.name, async (job) => {
        const { user } = job.data;
        await job.updateProgress(50);
        await job.updateProgress({ percent: 60 });
        await job.updateProgress({ user } as never);
        await job.updateData({ user, step: 1 });
        expect(job.data.step).toBe(1);
        expect(JSON.stringify(job)).not.toContain('ann@');
        return job.name === 'plain' ? { sent: 1 } : { user, at: new Date(0) };
      });
      worker.on('progress', (_job, progress) => events.push(progress));
      worker.on('completed', (_job, result) => events.push(result));
      const user = await em().findOneOrFail(User, 1);
      const { id } = await queue.add('rich', { user });
      const job = await finished(queue, id!);
      const token = { $entity: ['User', 1] };
      expect(job.data).toEqual({ $byref: 1, data: { user: token, step: 1 } });
      expect(job.progress).toEqual({ $byref: 1, data: { user: token } });
      expect(job.returnvalue).toEqual({ $byref: 1, data: { user: token, at: { $date: '1970-01-01T00:00:00.000Z' } } });
      await until(() => events.length === 4);
      expect(events).toEqual([50, { percent: 60 }, job.progress, job.returnvalue]);
      expect(((await serializer.decode(job.returnvalue, { em: em() })) as { user: User }).user.email).toBe(
        'ann@old.example',
      );
      const plain = await finished(queue, (await queue.add('plain', { user })).id!);
      expect(plain.returnvalue).toEqual({ sent: 1 });
      // From outside the worker as well.
      await plain.updateData({ user } as never);
      await plain.updateProgress({ user } as never);
      expect(await stored(queue.name)).not.toMatch(/ann@|hunter2/);
    });

    test('a class of the application’s own on top of ours keeps its methods, and reaches ours by super', async () => {
      const calls: unknown[] = [];
      class LoggedQueue extends ByReferenceQueue<{ user: User }> {
        override async add(...args: Parameters<ByReferenceQueue<{ user: User }>['add']>) {
          calls.push(args[0]);
          return super.add(...args);
        }
        override async addBulk(jobs: Parameters<ByReferenceQueue<{ user: User }>['addBulk']>[0]) {
          calls.push(jobs.length);
          return super.addBulk(jobs);
        }
      }
      class LoggedWorker extends ByReferenceWorker<{ user: User }> {
        protected override async callProcessJob(...args: Parameters<Worker['callProcessJob']>) {
          calls.push(args[0].data);
          return super.callProcessJob(...args);
        }
      }
      class LoggedProducer extends ByReferenceFlowProducer {
        override async add(flow: FlowJob) {
          calls.push(flow.queueName);
          return super.add(flow);
        }
      }
      const queue = close(new LoggedQueue(name(), { ...settings(), serializer }, ...store.backend));
      const flow = close(new LoggedProducer({ ...settings(), serializer }, ...store.backend));
      const user = await em().findOneOrFail(User, 1);
      const data = serializer.encode({ user });
      const one = await queue.add('one', { user });
      const [two] = await queue.addBulk([{ name: 'two', data: { user } }]);
      const three = await flow.add({ name: 'three', queueName: queue.name, data: { user } });
      expect([one.data, two!.data, three.job.data]).toEqual([data, data, data]);
      expect(calls.splice(0)).toEqual(['one', 1, queue.name]);
      const processed: string[] = [];
      const processor = async (job: Job<{ user: User }>): Promise<void> => void processed.push(job.data.user.email);
      close(new LoggedWorker(queue.name, processor, { ...settings(), serializer }, ...store.backend));
      for (const { id } of [one, two!, three.job]) await finished(queue, id!);
      expect(processed).toEqual(Array.from({ length: 3 }, () => 'ann@old.example'));
      expect(calls).toEqual([data, data, data]);
    });

    test('another’s method on the prototype of BullMQ’s class is still called', async () => {
      const queue = queueOf<{ user: User }>(name());
      const { add } = Queue.prototype;
      const seen: unknown[] = [];
      Queue.prototype.add = async function (this: Queue, ...args: Parameters<typeof add>) {
        seen.push(args[1]);
        return add.apply(this, args);
      } as typeof add;
      try {
        const user = await em().findOneOrFail(User, 1);
        await queue.add('x', { user });
        expect(seen).toEqual([serializer.encode({ user })]);
      } finally {
        Queue.prototype.add = add;
      }
    });

    test('by whatever method: nothing of a row is stored', async () => {
      const queue = queueOf<{ user: User }>(name());
      const user = await em().findOneOrFail(User, 1);
      const { id } = await queue.add('x', { user });
      await queue.updateJobProgress(id!, { user } as never);
      const worker = close(new (classes().Worker)<{ user: User }>(queue.name, null, settings(), ...store.backend));
      const job = (await worker.getNextJob('token')) as Job;
      const refused = await database.orm.em.execute(`select '${user.email}'::int`).catch((error: unknown) => error);
      await job.moveToFailed(refused as Error, 'token');
      expect(await stored(queue.name)).not.toMatch(/ann@|hunter2/);
    });

    test('what a store holds can be added to another queue as it is', async () => {
      const [queue, deadLetters] = [queueOf<{ user: User }>(name()), queueOf<{ user: User }>(name())];
      const worker = workerOf<{ user: User }>(queue.name, async () => {
        throw new Error('failed on purpose');
      });
      const moved = once(worker, 'failed').then(([failed]: Job[]) => deadLetters.add(failed!.name, failed!.data));
      await queue.add('x', { user: await em().findOneOrFail(User, 1) });
      expect((await moved).data).toEqual({ $byref: 1, data: { user: { $entity: ['User', 1] } } });
    });

    test('a job without data is no plain one', async () => {
      const queue = queueOf<unknown>(name(), { plain: 'refuse' });
      workerOf<unknown>(queue.name, async ({ data }) => data, { plain: 'refuse' });
      expect((await finished(queue, (await queue.add('x', undefined)).id!)).returnvalue).toEqual({});
      const [scheduled] = [await queue.upsertJobScheduler('tick', { every: 3_600_000 })];
      expect((await finished(queue, scheduled!.id!)).returnvalue).toEqual({});
    });

    test('a value that looks encoded forges nothing', async () => {
      const queue = queueOf<unknown>(name());
      const forged = { $byref: 1, data: { $entity: ['User', 1] } };
      const seen: unknown[] = [];
      const worker = workerOf(queue.name, async (job) => {
        seen.push(job.data);
        return forged;
      });
      const job = await finished(queue, (await queue.add('x', forged)).id!);
      expect(seen).toEqual([forged]);
      expect(await serializer.decode(job.returnvalue, { em: em() })).toEqual(forged);
      await worker.close();
    });

    test('a flow: children and parents get rows, the results of children too, by one query', async () => {
      const [parents, children] = [name(), name()];
      const flow = close(new (classes().FlowProducer)(settings(), ...store.backend));
      const own = em();
      const [ann, post] = [await own.findOneOrFail(User, 1), await own.findOneOrFail(Post, 1)];
      const tree = await flow.add({
        name: 'parent',
        queueName: parents,
        data: { post },
        children: [1, 2, 3].map((n) => ({ name: `child ${n}`, queueName: children, data: { ann, n } })),
      });
      expect(await stored(parents)).toContain('$entity');
      expect((await stored(children)) + (await stored(parents))).not.toMatch(/ann@|hunter2/);
      workerOf<{ ann: User; n: number }>(children, async ({ data }) => (data.n === 3 ? 'plain' : { sentTo: data.ann }));
      const results: unknown[] = [];
      workerOf<{ post: Post }>(parents, async (job) => {
        database.statements.length = 0;
        const values = Object.values(await job.getChildrenValues<{ sentTo: User } | 'plain'>());
        results.push(job.data.post.title, selects(database.statements).length);
        const users = values.flatMap((value) => (value === 'plain' ? [] : value.sentTo));
        results.push(
          users.map((user) => user.email),
          users[0] === users[1],
          values.includes('plain'),
        );
      });
      await finished(close(new Queue(parents, settings(), ...(store.backend as []))), tree.job.id!);
      expect(results).toEqual(['Hello', 1, ['ann@old.example', 'ann@old.example'], true, true]);
    });

    test('what an existing queue holds reaches the processor unchanged, or is refused', async () => {
      const plain = close(new Queue(name(), settings(), ...(store.backend as [])));
      const seen: unknown[] = [];
      const worker = workerOf(plain.name, async ({ data }) => void seen.push(data));
      await finished(plain, (await plain.add('old', { userId: 1, $entity: ['User', 1] })).id!);
      expect(seen).toEqual([{ userId: 1, $entity: ['User', 1] }]);
      await worker.close();
      workerOf(plain.name, async () => undefined, { plain: 'refuse' });
      const refused = await finished(plain, (await plain.add('old', { userId: 1 }, { attempts: 5 })).id!);
      expect([await refused.getState(), refused.attemptsMade]).toEqual(['failed', 1]);
    });

    test('signed: producers sign and workers take no other', async () => {
      const signing = new EntitySerializer(database.orm, { signingKeys: ['a secret of at least thirty-two bytes'] });
      const { Queue: SignedQueue, Worker: SignedWorker } = byReference(signing, { signed: { purpose: 'jobs' } });
      const queue = close(new SignedQueue(name(), settings(), ...store.backend));
      close(
        new SignedWorker<{ user: User }>(queue.name, async ({ data }) => data.user.email, settings(), ...store.backend),
      );
      const user = await em().findOneOrFail(User, 1);
      const done = await finished(queue, (await queue.add('x', { user })).id!);
      expect(await signing.decode(done.returnvalue, { signed: { purpose: 'jobs' } })).toBe('ann@old.example');
      const forged = await finished(queue, (await queueOf(queue.name).add('x', { user })).id!);
      expect(forged.failedReason).toMatch(/signature/);
      const plain = close(new Queue(queue.name, settings(), ...(store.backend as [])));
      expect((await finished(queue, (await plain.add('x', { admin: true })).id!)).failedReason).toMatch(/signature/);
    });

    test('encode: false writes what was written before', async () => {
      const queue = queueOf<{ user: number }>(name(), { encode: false });
      expect((await queue.add('x', { user: 1 })).data).toEqual({ user: 1 });
    });
  });

  describe('failures', () => {
    test('a missing row ends the job without a retry; one that may appear is waited for', async () => {
      const queue = queueOf<{ user: User }>(name());
      const worker = workerOf<{ user: User }>(queue.name, async ({ data }) => data.user.email, {
        retryMissingForMs: 0,
      });
      const data = { user: em().getReference(User, 404) };
      const job = await finished(queue, (await queue.add('x', data, { attempts: 5 })).id!);
      expect([await job.getState(), job.attemptsMade]).toEqual(['failed', 1]);
      expect(job.failedReason).toContain('User');
      await worker.close();

      workerOf<{ user: User }>(queue.name, async (later) => later.data.user.email);
      const late = await queue.add('late', { user: em().getReference(User, 2) });
      await until(async () => (await (await queue.getJob(late.id!))!.getState()) === 'delayed');
      await em().insert(User, { id: 2, name: 'Late', email: 'late@example.org', version: 1, updatedAt: new Date() });
      // With BullMQ's single attempt.
      expect((await finished(queue, late.id!)).returnvalue).toBe('late@example.org');
    });

    test('a result that can’t be kept undoes no work; what the database says of rows is not kept', async () => {
      const queue = queueOf<object>(name());
      workerOf<object>(queue.name, async (job) => {
        if (job.name === 'result') return new (class Secret {})();
        const own = RequestContext.getEntityManager()!;
        return own.getConnection().execute(`select 'ann@old.example'::int`);
      });
      const result = await finished(queue, (await queue.add('result', {}, { attempts: 5 })).id!);
      expect([await result.getState(), result.attemptsMade, result.returnvalue]).toEqual(['completed', 1, null]);
      const sql = await finished(queue, (await queue.add('sql', {}, { attempts: 2 })).id!);
      expect([await sql.getState(), sql.attemptsMade]).toEqual(['failed', 2]);
      expect(sql.failedReason).toMatch(/refused/);
      expect(await stored(queue.name)).not.toContain('ann@');
    });

    test('a processor without a signal gets none, one with three arguments is aborted', async () => {
      const queue = queueOf<object>(name());
      const seen: unknown[] = [];
      const two = workerOf<object>(queue.name, async (...args) => void seen.push(args.length, args[2]));
      await finished(queue, (await queue.add('two', {})).id!);
      await two.close();
      const three = workerOf<object>(queue.name, async (_job, _token, signal) => {
        await once(signal!, 'abort');
        seen.push('aborted');
        throw new Error('aborted');
      });
      const { id } = await queue.add('three', {});
      await until(async () => (await (await queue.getJob(id!))!.getState()) === 'active');
      await until(() => three.cancelJob(id!));
      await finished(queue, id!);
      expect(seen).toEqual([3, undefined, 'aborted']);
    });
  });

  describe('inside a transaction', () => {
    test('jobs are there with the commit, and never after a rollback', async () => {
      const queue = queueOf<{ user: User }>(name());
      const flow = close(new (classes().FlowProducer)(settings(), ...store.backend));
      const children = queueOf<{ user: User }>(name());
      const seen: string[] = [];
      for (const one of [queue, children]) {
        workerOf<{ user: User }>(one.name, async (job) => void seen.push(`${job.name} ${job.data.user.email}`));
      }
      const outside = AsyncLocalStorage.snapshot();
      /** Whether a worker could find any job, or has found one. */
      const hasJobs = async (): Promise<boolean> => {
        const counts = await outside(() => Promise.all([queue, children].map((one) => one.getJobCounts())));
        return counts.flatMap((count) => Object.values(count)).some((count) => count > 0);
      };
      const enqueue = (id: number, end: () => void): Promise<(string | undefined)[]> =>
        em().transactional(async (own) => {
          const user = own.create(User, { id, name: 'New', email: `${id}@example.org` });
          await own.flush();
          const jobs = [await queue.add('one', { user }), ...(await queue.addBulk([{ name: 'bulk', data: { user } }]))];
          const node = { name: 'child', queueName: children.name, data: { user } };
          const tree = await flow.add({ name: 'parent', queueName: queue.name, data: { user }, children: [node] });
          expect([await hasJobs(), seen]).toEqual([false, []]);
          end();
          return [...jobs, tree.job, tree.children![0]!.job].map((job) => job.id);
        });
      const lost = enqueue(7, () => {
        throw new Error('rolled back on purpose');
      });
      await expect(lost).rejects.toThrow('on purpose');
      expect([await hasJobs(), seen]).toEqual([false, []]);
      const ids = await enqueue(8, () => undefined);
      await until(() => seen.length === 4);
      expect(await hasJobs()).toBe(true);
      expect(seen.sort()).toEqual(['bulk', 'child', 'one', 'parent'].map((job) => `${job} 8@example.org`));
      for (const id of ids) expect(id).toBeDefined();
      expect((await finished(queue, ids[0]!)).name).toBe('one');
    });

    test('side by side with the transaction’s own queries', async () => {
      const queue = queueOf<{ user: User }>(name());
      const found = await em().transactional(async (own) => {
        const user = await own.findOneOrFail(User, 1);
        const [posts] = await Promise.all([
          own.find(Post, {}),
          ...Array.from({ length: 5 }, (_, n) => queue.add(`${n}`, { user })),
          own.count(Comment),
        ]);
        await own.transactional(async (inner) => {
          await queue.add('in a savepoint', { user: await inner.findOneOrFail(User, 1) });
        });
        const rolledBack = own.transactional(async (inner) => {
          await queue.add('lost', { user: await inner.findOneOrFail(User, 1) });
          throw new Error('rolled back on purpose');
        });
        await expect(rolledBack).rejects.toThrow('on purpose');
        expect(await own.find(Post, { id: 1 })).toHaveLength(1);
        return posts as Post[];
      });
      expect(found).toHaveLength(1);
      await until(async () => (await queue.count()) === 6);
    });

    test('a scheduler too', async () => {
      const queue = queueOf<{ user: User }>(name());
      const schedule = (end: () => void): Promise<void> =>
        em().transactional(async (own) => {
          const user = await own.findOneOrFail(User, 1);
          await queue.upsertJobScheduler('hourly', { every: 3_600_000 }, { data: { user } });
          end();
        });
      const lost = schedule(() => {
        throw new Error('rolled back on purpose');
      });
      await expect(lost).rejects.toThrow('on purpose');
      expect(await queue.getJobSchedulersCount()).toBe(0);
      await schedule(() => undefined);
      await until(async () => (await queue.getJobSchedulersCount()) === 1);
    });

    test('entities of a savepoint that is over belong to the transaction around it, and later to none', async () => {
      const queue = queueOf<{ user: User }>(name());
      const user = await em().transactional(async (own) => {
        let found: User | undefined;
        const lost = own.transactional(async (inner) => {
          inner.clear();
          found = await inner.findOneOrFail(User, 1);
          throw new Error('rolled back on purpose');
        });
        await expect(lost).rejects.toThrow('on purpose');
        await queue.add('within', { user: found! });
        if (kind === 'Redis') expect(await queue.count()).toBe(0);
        return found!;
      });
      await until(async () => (await queue.count()) === 1);
      await queue.add('after', { user });
      expect(await queue.count()).toBe(2);
    });

    test('what BullMQ refuses is refused before the commit', async () => {
      const queue = queueOf<{ user: User }>(name());
      // Nothing reaches it, and BullMQ 5 has an unhandled error where it closes while it connects.
      await queue.waitUntilReady();
      const adding = em().transactional(async (own) => {
        const user = await own.findOneOrFail(User, 1);
        await queue.add('x', { user }, { jobId: '123' });
      });
      await expect(adding).rejects.toThrow(/integers/);
    });

    test('a queue that closes right after the commit still sends', async () => {
      const queue = queueOf<{ user: User }>(name());
      await em().transactional(async (own) => {
        await queue.add('x', { user: await own.findOneOrFail(User, 1) });
      });
      await queue.close();
      expect(await close(new Queue(queue.name, settings(), ...(store.backend as []))).count()).toBe(1);
    });

    test('a new queue makes no other producer wait', async () => {
      const queue = queueOf<{ user: User }>(name());
      await em().transactional(async (own) => {
        await queue.add('x', { user: await own.findOneOrFail(User, 1) });
        await queue.add('y', { user: await em().findOneOrFail(User, 1) });
        await close(new Queue(queue.name, settings(), ...(store.backend as []))).add('z', {});
      });
      await until(async () => (await queue.count()) === 3);
    });

    test('two transactions at once are refused', async () => {
      const queue = queueOf<{ users: User[] }>(name());
      // Nothing reaches it, and BullMQ 5 has an unhandled error where it closes while it connects.
      await queue.waitUntilReady();
      await em().transactional(async (one) => {
        const first = await one.findOneOrFail(User, 1);
        await em().transactional(async (two) => {
          const second = await two.findOneOrFail(User, 1);
          const failure = await failureOf(() => queue.add('x', { users: [first, second] }));
          expect(failure.code).toBe('E_TRANSACTION_MISMATCH');
        });
      });
    });
  });

  test('equal jobs are one by the token of a row', async () => {
    const queue = queueOf<{ user: User }>(name());
    const add = async (): Promise<Job> => {
      const user = await em().findOneOrFail(User, 1);
      return queue.add('x', { user }, { deduplication: { id: serializer.dedupeKey(user) } });
    };
    expect((await add()).id).toBe((await add()).id);
    expect(await queue.count()).toBe(1);
  });

  test('a sandboxed processor reads its jobs in its own process', async () => {
    const queue = queueOf<{ user: User }>(name());
    const file = fileURLToPath(new URL('../support/sandboxed-processor.ts', import.meta.url));
    const options = {
      ...settings(),
      workerForkOptions: { env: { ...process.env, SANDBOX_DATABASE_URL: database.url } },
      serializer,
    };
    const worker = close(new ByReferenceWorker<{ user: User }>(queue.name, file, options, ...store.backend));
    const job = await finished(queue, (await queue.add('x', { user: await em().findOneOrFail(User, 1) })).id!);
    expect(job.failedReason).toBeUndefined();
    const result = (await serializer.decode(job.returnvalue, { em: em() })) as Record<string, unknown>;
    expect(result).toMatchObject({ email: 'ann@old.example', user: { id: 1 }, aborted: false });
    expect(result['pid']).not.toBe(process.pid);
    // BullMQ waits for neither of them before it completes the job.
    const stored = async (): Promise<Job> => (await queue.getJob(job.id!))!;
    await until(async () => JSON.stringify((await stored()).data).includes('seen'));
    await until(async () => (await stored()).progress !== 0);
    const { data, progress } = await stored();
    expect(data).toEqual({ $byref: 1, data: { user: { $entity: ['User', 1] }, seen: 'ann@old.example' } });
    expect(progress).toEqual({ $byref: 1, data: { reading: { $entity: ['User', 1] } } });
    await worker.close();
  });

  test('results reach whoever waits for them, as they are stored', async () => {
    const queue = queueOf<{ user: User }>(name());
    const events = close(new QueueEvents(queue.name, settings(), ...(store.backend as [])));
    await events.waitUntilReady();
    workerOf<{ user: User }>(queue.name, async ({ data }) => data);
    const job = await queue.add('x', { user: await em().findOneOrFail(User, 1) });
    const result = await job.waitUntilFinished(events, 60_000);
    expect(await serializer.decode(result, { em: em() })).toMatchObject({ user: { email: 'ann@old.example' } });
  });

  test('options are checked', async () => {
    const bad = await failureOf(() => new ByReferenceQueue(name(), { ...settings() } as never));
    expect(bad.code).toBe('E_INVALID_OPTION');
    expect((await failureOf(() => queueOf(name(), { plain: 'maybe' as never }))).code).toBe('E_INVALID_OPTION');
  });
});
