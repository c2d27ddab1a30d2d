import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import type { BentoCache } from 'bentocache';
import { type Job, type JobNode, Queue, type Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { type Job as BossJob, PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import * as bullmq from 'mikro-orm-byref/bullmq';
import { EntityCache } from 'mikro-orm-byref/cache';
import * as pgBoss from 'mikro-orm-byref/pg-boss';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { failureOf } from '../support/failure.ts';
import { queueName as name, until } from '../support/jobs.ts';

const signingKeys = ['a secret of thirty-two bytes, ok'];
const signed = { purpose: 'app' };

let database: TestOrm;
/** Whose default is a signature, wherever it goes. */
let serializer: EntitySerializer;
const opened: { close(): Promise<unknown> }[] = [];

function close<T extends { close(): Promise<unknown> }>(one: T): T {
  opened.push(one);
  return one;
}
const fork = (): EntityManager => database.orm.em.fork();
const user = (): User => fork().getReference(User, 1);

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm, { signingKeys, signed });
});
afterAll(() => database.close());
beforeEach(async () => {
  await fork().getConnection().execute('truncate "user" cascade');
  const em = fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.flush();
});
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close();
});

describe('what can’t be combined is refused', () => {
  const boss = new PgBoss({ connectionString: 'postgres://nowhere' });
  const places: [string, (options: object, by?: EntitySerializer) => unknown][] = [
    ['Tasks', (options, by = serializer) => new Tasks(by, inlineEngine(), options)],
    ['pg-boss', (options, by = serializer) => pgBoss.byReference(by, boss, options)],
    ['BullMQ', (options, by = serializer) => bullmq.byReferenceProcessor(by, async () => undefined, options)],
  ];

  test.each(places)('%s', async (place, make) => {
    const without = new EntitySerializer(database.orm);
    const refused: [object, EntitySerializer?][] = [
      [{ plain: 'pass' }],
      [{ signed, plain: 'pass' }],
      [{ signed }, without],
      [{ signed: true }],
      [{ signed: { purpose: '' } }],
      [{ signed: { purpose: 'app', queue: 'a' } }],
      [{ signed: { purpose: 'app', queues: 'a' } }],
      [{ signed: { purpose: 'app', queues: [''] } }],
      ...(place === 'Tasks' ? [] : ([[{ encode: false }], [{ signed, encode: false }]] as [object][])),
    ];
    for (const [options, by] of refused) {
      expect([options, (await failureOf(() => make(options, by))).code]).toEqual([options, 'E_INVALID_OPTION']);
    }
    for (const options of [
      {},
      { plain: 'refuse' },
      { signed: { ...signed, queues: ['a'] } },
      { signed: false, plain: 'pass' },
    ]) {
      expect(make(options)).toBeDefined();
    }
  });

  test('EntityCache', async () => {
    const without = new EntitySerializer(database.orm);
    const bento = inMemory() as unknown as BentoCache<never>;
    close({ close: () => bento.disconnectAll() });
    for (const options of [{ signed }, { signed: { purpose: '' } }, { signed: true as never }]) {
      expect((await failureOf(() => new EntityCache(without, bento, options))).code).toBe('E_INVALID_OPTION');
    }
  });
});

describe('pg-boss', () => {
  let boss: PgBoss;
  const found = async (queue: string, id: string | null): Promise<{ state: string; output: unknown }> =>
    (await boss.findJobs(queue, { id: id! }))[0] as never;
  const ended = async (queue: string, id: string | null): Promise<{ state: string; output: { code?: string } }> => {
    await until(async () => ['completed', 'failed'].includes((await found(queue, id)).state));
    return (await found(queue, id)) as never;
  };
  const queue = async (options: object = {}): Promise<string> => {
    const made = name();
    await boss.createQueue(made, { retryLimit: 1, ...options });
    return made;
  };
  type Data = { user: User } | null;
  const work = async (own: PgBoss, queueName: string, handler: (data: Data) => unknown = (data) => data?.user.name) => {
    await own.work<Data>(queueName, { pollingIntervalSeconds: 0.5 }, async ([job]: BossJob<Data>[]) =>
      handler(job!.data),
    );
    close({ close: () => own.offWork(queueName, { wait: true }) });
  };

  beforeAll(async () => {
    boss = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
    boss.on('error', () => undefined);
    await boss.start();
  });
  afterAll(() => boss.stop({ graceful: false }));

  test('its own jobs are taken, by whichever method they were sent, and the first to fail is retried', async () => {
    const own = pgBoss.byReference(serializer, boss);
    const name = await queue();
    const event = `event-${name}`;
    await own.subscribe(event, name);
    const failing = new Set(['once']);
    await own.send(name, { user: user() });
    await own.send({ name, data: { user: user() } });
    await own.sendAfter(name, { user: user() }, {}, 0);
    await own.insert(name, [{ data: { user: user() } }]);
    await own.publish(event, { user: user() });
    const updated = await own.send(name, { user: user() }, { startAfter: 60 });
    await own.update(name, { user: user() }, { id: updated!, startAfter: new Date() });
    await own.upsert(name, { user: user() }, { singletonKey: 'new' });
    await own.flow([
      { ref: 'a', name, data: { user: user() } },
      { ref: 'b', name: await queue(), data: { user: user() }, dependsOn: ['a'] },
    ]);
    await own.send(name);
    await own.send({ name });
    await own.insert(name, [{}]);
    const seen: unknown[] = [];
    await work(own, name, (data) => {
      if (failing.delete('once')) throw new Error('on purpose');
      seen.push(data?.user.name ?? null);
    });
    await until(() => seen.length === 11);
    expect(seen.sort()).toEqual([...Array(8).fill('Ann'), ...Array(3).fill(null)].sort());
    const without = await failureOf(() => own.upsert(name, undefined as never, { singletonKey: 'x' }));
    expect(without.code).toBe('E_INVALID_OPTION');
  });

  test('what is moved, unsigned or of an event that the queue has no part in is dead-lettered at once', async () => {
    const own = pgBoss.byReference(serializer, boss);
    const [source, target] = [await queue(), await queue()];
    const event = `event-${source}`;
    await own.subscribe(event, source);
    const stored = async (id: string | null): Promise<object> =>
      ((await boss.findJobs(source, { id: id! }))[0] as BossJob<object>).data;
    const sent = await stored(await own.send(source, { user: user() }));
    await own.publish(event, { user: user() });
    const jobs = (await boss.findJobs(source)) as BossJob<object>[];
    const published = jobs.map(({ data }) => data).find((data) => JSON.stringify(data).includes(event))!;
    const { signature: _, ...unsigned } = sent as Record<string, unknown>;
    await work(own, target);
    for (const data of [sent, published, unsigned, { ...sent, job: { queue: target } }, { user: 1 }, { $byref: 999 }]) {
      expect(await ended(target, await boss.send(target, data))).toMatchObject({
        state: 'failed',
        output: { code: 'E_BAD_SIGNATURE' },
      });
    }
    expect((await ended(target, await boss.send(target))).output.code).toBe('E_BAD_SIGNATURE');
  });

  test('a dead letter is taken where its source is named, and is no job of the dead letter queue else', async () => {
    const dead = await queue();
    const source = await queue({ deadLetter: dead, retryLimit: 0 });
    const own = pgBoss.byReference(serializer, boss);
    await work(own, source, () => {
      throw new Error('on purpose');
    });
    const seen: unknown[] = [];
    await work(pgBoss.byReference(serializer, boss, { signed: { ...signed, queues: [source] } }), dead, (data) =>
      seen.push(data!.user.name),
    );
    const first = await own.send(source, { user: user() });
    await until(() => seen.length === 1);
    await own.send(dead, { user: user() });
    await until(() => seen.length === 2);
    const { data } = (await boss.findJobs(source, { id: first! }))[0] as BossJob<object>;
    const strict = await queue();
    await work(own, strict);
    expect((await ended(strict, await boss.send(strict, data))).output.code).toBe('E_BAD_SIGNATURE');
  });

  test('tasks: schedules are signed, batches keep their context, and a dead letter is taken where its source is named', async () => {
    const dead = await queue({ policy: 'short' });
    const source = await queue({ policy: 'short', deadLetter: dead, retryLimit: 0 });
    const engine = () => pgBoss.pgBossEngine(boss, { pollingIntervalSeconds: 0.5 });
    const seen: unknown[] = [];
    const context = {
      capture: () => 'mine',
      run: async (captured: unknown, _em: EntityManager, next: () => Promise<void>) => {
        seen.push(captured);
        await next();
      },
    };
    const tasksOf = (options: object): Tasks => {
      const tasks = new Tasks(serializer, engine(), options);
      close({ close: () => tasks.stop() });
      return tasks;
    };
    const tasks = tasksOf({ context });
    const batch = tasks.define(
      source,
      async (list: { user: User }[]) => {
        seen.push(list.map((args) => args.user.name));
        throw new Error('on purpose');
      },
      { batch: true, retries: { limit: 0 } },
    );
    const letters = tasksOf({ signed: { ...signed, queues: [source] } });
    letters.define(source, async ({ user: { name: letter } }: { user: User }) => void seen.push(letter), {
      queue: dead,
    });
    await batch.schedule('0 0 1 1 *', { user: user() });
    const [scheduled] = await boss.getSchedules(source);
    expect(scheduled!.data).toMatchObject({ job: { queue: source }, signature: expect.any(String) });
    await batch.bulk([{ user: user() }, { user: user() }]);
    await boss.send(source, { $byref: 1, data: {}, task: { name: source, context: 'forged' } }, { singletonKey: 'x' });
    await tasks.work();
    await until(() => seen.length === 2);
    await letters.work();
    await until(() => seen.length === 4);
    expect(seen).toEqual(['mine', ['Ann', 'Ann'], 'Ann', 'Ann']);
  });

  test('signed: false at the adapter switches it off, and results are signed where it is on', async () => {
    const lax = pgBoss.byReference(serializer, boss, { signed: false });
    const name = await queue();
    const id = await lax.send(name, { user: user() });
    expect(JSON.stringify(await boss.findJobs(name))).not.toContain('signature');
    await work(lax, name);
    expect(await ended(name, id)).toMatchObject({ state: 'completed', output: { $byref: 1, data: 'Ann' } });
    const own = pgBoss.byReference(serializer, boss);
    const strict = await queue();
    const other = await own.send(strict, { user: user() });
    await work(own, strict);
    const { output } = await ended(strict, other);
    expect(output).toMatchObject({ result: { queue: strict, id: other }, purpose: 'app' });
    expect(await serializer.decode(output as never)).toBe('Ann');
  });
});

describeStores('BullMQ', ({ name: kind, open }) => {
  let store: Store;
  let classes: bullmq.ByReferenceClasses;
  const settings = (): { connection: never } => ({ connection: store.connection as never });
  const plainQueue = (queue: string): Queue => close(new Queue(queue, settings(), ...(store.backend as [])));
  const queueOf = (queue: string, own = classes): Queue => close(new own.Queue(queue, settings(), ...store.backend));
  const workerOf = (queue: string, process: (job: Job) => Promise<unknown>, own = classes): Worker =>
    close(new own.Worker(queue, process, settings(), ...store.backend)) as Worker;
  const finished = async (queue: Queue, id: string): Promise<Job> => {
    await until(async () => ['completed', 'failed'].includes(await (await queue.getJob(id))!.getState()));
    return (await queue.getJob(id))!;
  };
  /** Changes a field of a stored job. */
  const tamper = async (
    queue: string,
    id: string,
    field: 'name' | 'data' | 'timestamp',
    value: string,
  ): Promise<void> => {
    if (kind === 'PostgreSQL') {
      const columns = { name: 'name', data: 'data', timestamp: 'added_at_ms' };
      const sql = `update bullmq.job set ${columns[field]} = ? where queue = ? and id = ?`;
      await fork().getConnection().execute(sql, [value, queue, id]);
      return;
    }
    const client = new Redis(process.env['TEST_REDIS_URL']!);
    await client.hset(`bull:${queue}:${id}`, field, value);
    client.disconnect();
  };

  beforeAll(async () => {
    store = await open(database.url);
    classes = bullmq.byReference(serializer);
  });
  afterAll(() => store.close());

  test('its own jobs are taken: single, bulk, scheduled, rewritten, retried, without data', async () => {
    const queue = queueOf(name());
    const seen: unknown[] = [];
    await queue.add('one', { user: user() }, { attempts: 2 });
    await queue.addBulk([{ name: 'two', data: { user: user() } }]);
    await queue.upsertJobScheduler('three', { every: 3_600_000 }, { data: { user: user() } });
    await queue.upsertJobScheduler('x', { every: 3_600_000 }, { name: 'four', data: { user: user() } });
    await (await queue.add('five', {}, { delay: 200 })).updateData({ user: user() });
    await queue.add('six', undefined);
    let fails = true;
    workerOf(queue.name, async (job) => {
      if (job.name === 'one' && fails) {
        await job.updateData({ user: user() });
        fails = false;
        throw new Error('on purpose');
      }
      seen.push([job.name, job.data.user?.name]);
    });
    await until(() => seen.length === 6);
    const names = ['one', 'two', 'three', 'four', 'five'].map((job) => [job, 'Ann']);
    expect(seen.sort()).toEqual([...names, ['six', undefined]].sort());
  });

  test('what is renamed, moved or unsigned fails at once', async () => {
    const [queue, other] = [queueOf(name()), plainQueue(name())];
    const renamed = (await queue.add('mail', { user: user() })).id!;
    const kept = (await queue.add('mail', { user: user() })).id!;
    const stripped = (await queue.add('mail', { user: user() })).id!;
    const newer = (await queue.add('mail', { user: user() })).id!;
    const { data } = (await plainQueue(queue.name).getJob(kept))!;
    await tamper(queue.name, renamed, 'name', 'delete');
    await tamper(queue.name, stripped, 'data', JSON.stringify({ ...data, signature: undefined }));
    await tamper(queue.name, newer, 'data', '{"$byref":999}');
    const moved = (await other.add('mail', data)).id!;
    for (const each of [queue.name, other.name]) workerOf(each, async (job) => job.data.user.name);
    for (const [place, id] of [
      [queue, renamed],
      [queue, stripped],
      [queue, newer],
      [other, moved],
    ] as const) {
      const job = await finished(place, id);
      expect([job.failedReason, job.attemptsMade]).toEqual([expect.stringMatching(/signature/), 1]);
    }
    expect(await (await finished(queue, kept)).getState()).toBe('completed');
  });

  test('a stored job that is added to another queue as it is needs its own queue to be named', async () => {
    const [queue, dead] = [queueOf(name()), queueOf(name())];
    const { id } = await queue.add('mail', { user: user() });
    const add = async (): Promise<string> => (await dead.add('mail', (await queue.getJob(id!))!.data)).id!;
    const refusing = workerOf(dead.name, async () => undefined);
    expect((await finished(dead, await add())).failedReason).toMatch(/signature/);
    await refusing.close();
    workerOf(
      dead.name,
      async (job) => job.data.user.name,
      bullmq.byReference(serializer, { signed: { ...signed, queues: [queue.name] } }),
    );
    expect(await serializer.decode((await finished(dead, await add())).returnvalue)).toBe('Ann');
  });

  test('a flow: children are taken, and their results are theirs', async () => {
    const producer = close(new classes.FlowProducer(settings(), ...store.backend));
    const [parents, children] = [queueOf(name()), queueOf(name())];
    const flow = (data: unknown): Promise<JobNode> =>
      producer.add({
        name: 'parent',
        queueName: parents.name,
        children: [{ name: 'child', queueName: children.name, data }],
      });
    workerOf(parents.name, async (job) => Object.values(await job.getChildrenValues<User | string>()));
    const child = workerOf(children.name, async ({ data }) => data.user ?? data.plain);
    const decoded = async ({ job }: JobNode): Promise<unknown> => {
      const done = await finished(parents, job.id!);
      return done.failedReason ?? serializer.decode(done.returnvalue, { em: fork() });
    };
    expect(await decoded(await flow({ user: user() }))).toMatchObject([{ name: 'Ann' }]);
    const genuine = await flow({ plain: 'text' });
    expect(await decoded(genuine)).toEqual(['text']);
    await child.close();
    // A worker of a stranger, with a result of another child and with one that nobody has signed.
    const copied = (await children.getJob(genuine.children![0]!.job.id!))!.returnvalue as unknown;
    for (const forged of [copied, 'text', { $byref: 1, data: 'text' }]) {
      const stranger = close(
        new (await import('bullmq')).Worker(children.name, async () => forged, settings(), ...(store.backend as [])),
      );
      expect(await decoded(await flow({}))).toMatch(/signature/);
      await stranger.close();
    }
  });

  test('a renamed job of a task fails as well', async () => {
    const engine = bullmq.bullmqEngine({
      connection: store.connection,
      ...(store.backend[0] && { backend: store.backend[0] }),
    });
    const tasks = new Tasks(serializer, engine);
    close({ close: () => tasks.stop() });
    const task = tasks.define(name(), async () => 'ran');
    const [handle, renamed] = [await task.delay({}), await task.delay({})];
    await tamper(task.taskName, renamed.id, 'name', 'another');
    await tasks.work();
    await until(async () => (await renamed.state()) === 'failed' && (await handle.state()) === 'completed');
    expect([await handle.result(), await renamed.attempt()]).toEqual(['ran', 1]);
  });

  test('a sandboxed processor takes and signs jobs in its own process', async () => {
    const queue = queueOf(name());
    const file = fileURLToPath(new URL('../support/sandboxed-processor.ts', import.meta.url));
    const sandbox = { SANDBOX_DATABASE_URL: database.url, SANDBOX_SECRET: signingKeys[0] };
    const options = { ...settings(), workerForkOptions: { env: { ...process.env, ...sandbox } } };
    close(new classes.Worker(queue.name, file, options, ...store.backend));
    const job = await finished(queue, (await queue.add('x', { user: user() })).id!);
    expect(job.failedReason).toBeUndefined();
    expect(job.returnvalue).toMatchObject({ result: { queue: queue.name, id: job.id } });
    // BullMQ writes what the other process changes, and what it returns, side by side.
    const stored = async () => (await queue.getJob(job.id!))!.data as { job: unknown; data: { seen?: string } };
    await until(async () => (await stored()).data.seen === 'ann@example.org');
    expect((await stored()).job).toMatchObject({ queue: queue.name, name: 'x' });
    expect(await serializer.decode(job.returnvalue, { em: fork() })).toMatchObject({ email: 'ann@example.org' });
    const forged = (await plainQueue(queue.name).add('x', { $byref: 1, data: { user: { $entity: ['User', 1] } } })).id!;
    expect((await finished(queue, forged)).failedReason).toMatch(/signature/);
  });

  test('a missing row is looked for a while, whatever the job’s timestamp says', async () => {
    const queue = queueOf(name());
    const { id } = await queue.add('x', { user: fork().getReference(User, 404) }, { delay: 500 });
    await tamper(queue.name, id!, 'timestamp', String(Date.now() + 1e9));
    workerOf(queue.name, async () => undefined, bullmq.byReference(serializer, { retryMissingForMs: 1_000 }));
    const job = await finished(queue, id!);
    expect(job.failedReason).toMatch(/no such row/);
    expect(job.attemptsStarted).toBe(2);
  });

  test('signed: false switches it off', async () => {
    const lax = bullmq.byReference(serializer, { signed: false });
    const queue = queueOf(name(), lax);
    const { id } = await queue.add('x', { user: user() });
    workerOf(queue.name, async (job) => job.data.user.name, lax);
    const job = await finished(queue, id!);
    expect([job.returnvalue, job.data]).toEqual(['Ann', { $byref: 1, data: { user: { $entity: ['User', 1] } } }]);
  });
});

describe('a cache', () => {
  const HOUR = 3_600_000;
  const get = (cache: EntityCache, key: string, value: unknown) =>
    cache.getOrSet({ key, ttlMs: HOUR, em: fork(), factory: () => value });

  test('takes what it has stored under this very key, and nothing else', async () => {
    const bento = inMemory() as unknown as BentoCache<never>;
    close({ close: () => bento.disconnectAll() });
    const errors: unknown[] = [];
    const caches = [serializer, new EntitySerializer(database.orm)].map(
      (by) => new EntityCache(by, bento, { singleProcess: true, onError: (error) => void errors.push(error) }),
    );
    const [cache, unsigned] = caches as [EntityCache, EntityCache];
    const keys = new Set<string>();
    const { set } = bento;
    bento.set = ((options: { key: string }) => {
      if (options.key.startsWith('byref:text:')) keys.add(options.key);
      return set.call(bento, options as never);
    }) as never;
    await get(cache, 'mine', { user: user() });
    await get(cache, 'plain', 'text');
    expect([await get(cache, 'mine', 0), await get(cache, 'plain', 0)]).toMatchObject([
      { user: { name: 'Ann' } },
      'text',
    ]);
    expect([cache.stats.hits, errors]).toEqual([2, []]);
    const [mine, plain] = [...keys] as [string, string];
    const stored = async (key: string): Promise<object> => (await bento.get({ key } as never)) as object;
    const good = await stored(plain);
    for (const forged of [
      await stored(mine),
      { ...good, record: { plain: 'forged', expiresAt: 9e15, stamps: {} } },
      { plain: 'forged', expiresAt: 9e15, stamps: {} },
      'forged',
    ]) {
      await set.call(bento, { key: plain, value: forged } as never);
      expect(await get(cache, 'plain', 'made')).toBe('made');
    }
    await get(unsigned, 'other', 'unsigned');
    expect(await get(cache, 'other', 'made')).toBe('made');
    expect(errors.map((error) => (error as { code: string }).code)).toEqual(Array(4).fill('E_BAD_SIGNATURE'));
  });

  test('what it gives may be changed by its receiver, and is not signed where that is switched off', async () => {
    const bento = inMemory(false) as unknown as BentoCache<never>;
    close({ close: () => bento.disconnectAll() });
    const cache = new EntityCache(serializer, bento, { singleProcess: true });
    await get(cache, 'list', [1]);
    for (const _ of [1, 2]) {
      const list = (await get(cache, 'list', [])) as number[];
      expect(list).toEqual([1]);
      list.push(2);
    }
    const lax = new EntityCache(serializer, bento, { singleProcess: true, signed: false });
    await get(lax, 'lax', [1]);
    expect(await get(lax, 'lax', [])).toEqual([1]);
  });
});
