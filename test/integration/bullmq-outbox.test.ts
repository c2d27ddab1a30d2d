/** Tasks on BullMQ whose jobs are rows of the transaction until a relay has brought them to Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine, type BullMqEngineOptions } from 'mikro-orm-byref/bullmq';
import { Outbox, OutboxMessage, type OutboxOptions } from 'mikro-orm-byref/outbox';
import { type Change, type DelayOptions, type JobHandle, type Task, Tasks } from 'mikro-orm-byref/tasks';
import { audit } from '../../src/cli/audit/audit.ts';
import { requeue } from '../../src/cli/requeue.ts';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { redisConnection } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { queueName, until } from '../support/jobs.ts';
import { Relays } from '../support/outbox.ts';
import { describeWith } from '../support/test-with.ts';

describeWith('redis-server')('BullMQ with an outbox', () => {
  let database: TestOrm;
  let relays: Relays;
  const started: { stop(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    database = await openDatabase([...domain, OutboxMessage] as never);
  });
  afterAll(() => database.close());
  beforeEach(() => {
    relays = new Relays();
  });
  afterEach(async () => {
    await relays.stop();
    for (const one of started.splice(0)) await one.stop();
    await fork().nativeDelete(OutboxMessage, {});
  });

  const fork = () => database.orm.em.fork();
  const rows = (): Promise<number> => fork().count(OutboxMessage);

  interface Program {
    readonly outbox: Outbox;
    readonly tasks: Tasks;
  }

  /** A process of its own, as far as its outbox and its engine go. */
  function program(options: OutboxOptions = {}, own: Partial<BullMqEngineOptions> = {}): Program {
    const serializer = new EntitySerializer(database.orm);
    const outbox = new Outbox(serializer, { onError: () => {}, ...options });
    const engine = bullmqEngine({ connection: redisConnection(), outbox, ...own });
    const tasks = new Tasks(serializer, engine, { onError: () => {} });
    started.push(tasks);
    return { outbox, tasks };
  }

  /** What a test begins with: a task, and how often it has run. */
  function counting(own: Partial<BullMqEngineOptions> = {}, options: OutboxOptions = {}) {
    const { outbox, tasks } = program(options, own);
    const ran: number[] = [];
    const queue = queueName();
    const task = tasks.define(queue, async ({ n }: { n: number }) => {
      ran.push(n);
      return n;
    });
    return { outbox, tasks, task, ran, queue };
  }

  const inTransaction = <Args>(
    task: Task<Args, number>,
    args: Args,
    options: DelayOptions = {},
  ): Promise<JobHandle<number>> =>
    fork().transactional((em) => task.delay(args as never, { em, ...options })) as Promise<JobHandle<number>>;

  const relayed = (): Promise<void> => until(async () => (await rows()) === 0);

  test('a job is a row of the transaction, waits without a relay, and is done with one', async () => {
    const { outbox, tasks, task } = counting();
    await tasks.work();
    const handle = await inTransaction(task, { n: 1 });
    await handle.enqueued;
    await sleep(100);
    expect([await rows(), await handle.state(), await handle.attempt()]).toEqual([1, 'waiting', 0]);
    relays.start(outbox);
    expect(await handle.wait()).toBe(1);
    await relayed();
    expect([await handle.state(), await handle.attempt()]).toEqual(['completed', 1]);
  });

  test('outside a transaction a job is in Redis at once', async () => {
    const { task } = counting();
    const handle = await task.delay({ n: 1 });
    expect([await rows(), await handle.state()]).toEqual([0, 'waiting']);
  });

  test('a job whose relay has died after bringing it is done once, while BullMQ remembers it', async () => {
    const { outbox, tasks, task, ran } = counting();
    const handle = await inTransaction(task, { n: 1 });
    const [row] = await fork().find(OutboxMessage, {});
    expect(row!.id).toBe(handle.id);
    const bringAgain = async (): Promise<void> => {
      await fork().insert(OutboxMessage, { ...row!, availableAt: Date.now() - 1, claim: 'one that died', attempts: 1 });
      await relayed();
    };
    relays.start(outbox);
    await relayed();
    await bringAgain();
    await tasks.work();
    await handle.wait();
    await bringAgain();
    const last = await inTransaction(task, { n: 2 });
    await last.wait();
    expect(ran).toEqual([1, 2]);
  });

  test('one that BullMQ was told to forget is done again', async () => {
    const { outbox, tasks, task, ran } = counting({ queue: { defaultJobOptions: { removeOnComplete: true } } });
    await inTransaction(task, { n: 1 });
    const [row] = await fork().find(OutboxMessage, {});
    relays.start(outbox);
    await tasks.work();
    await until(() => ran.length === 1);
    await until(async () => (await task.handle(row!.id).state()) === undefined);
    await fork().insert(OutboxMessage, { ...row!, availableAt: 0, attempts: 1 });
    await until(() => ran.length === 2);
    expect(ran).toEqual([1, 1]);
  });

  test('dedupe: what meets a job that waits is dropped, and its handle is of that one', async () => {
    const { outbox, tasks, task, ran } = counting();
    const dedupe = 'user 1';
    const first = await inTransaction(task, { n: 1 }, { dedupe });
    const second = await inTransaction(task, { n: 2 }, { dedupe });
    const other = await inTransaction(task, { n: 3 }, { dedupe: 'user 2' });
    relays.start(outbox);
    await relayed();
    expect([await first.state(), await second.state()]).toEqual(['waiting', 'waiting']);
    await tasks.work();
    await other.wait();
    const results = [await first.wait(), await second.wait()];
    expect(results[0]).toBe(results[1]);
    expect([ran.length, await first.attempt(), await second.attempt()]).toEqual([2, 1, 1]);
    const again = await inTransaction(task, { n: 4 }, { dedupe });
    expect(await again.wait()).toBe(4);
  });

  test('dedupe: the handle of a dropped job takes the one back that it is of', async () => {
    const { outbox, task } = counting();
    const first = await inTransaction(task, { n: 1 }, { dedupe: 1 });
    await sleep(2);
    const second = await inTransaction(task, { n: 2 }, { dedupe: 1 });
    relays.start(outbox);
    await relayed();
    expect([await second.cancel(), await first.state()]).toEqual([true, undefined]);
  });

  test('a delay counts from when the job was enqueued, however late it is brought', async () => {
    const { outbox, tasks, task, ran } = counting();
    const delayMs = 3_600_000;
    const later = await inTransaction(task, { n: 2 }, { delayMs });
    const over = await inTransaction(task, { n: 1 }, { delayMs });
    await fork().nativeUpdate(OutboxMessage, { id: over.id }, { createdAt: new Date(Date.now() - delayMs) });
    relays.start(outbox);
    await tasks.work();
    await over.wait();
    await relayed();
    expect([await later.state(), ran]).toEqual(['waiting', [1]]);
  });

  test('cancel takes a job out of the outbox, also by its id and in another process', async () => {
    const { task, queue } = counting();
    const { tasks: others } = program();
    const [one, two] = [await inTransaction(task, { n: 1 }), await inTransaction(task, { n: 2 })];
    expect(await one.cancel()).toBe(true);
    expect(await others.declare<{ n: number }>(queue).handle(two.id).cancel()).toBe(true);
    expect([await rows(), await one.state(), await two.state()]).toEqual([0, undefined, undefined]);
    expect(await others.declare<{ n: number }>(queue).handle(two.id).cancel()).toBe(false);
  });

  test('cancel waits for a relay that has the job in its hands', async () => {
    const { outbox, task } = counting();
    const handle = await inTransaction(task, { n: 1 });
    // As one that has died with it.
    await fork().nativeUpdate(OutboxMessage, {}, { claim: 'one that died', availableAt: Date.now() + 500 });
    const cancelling = handle.cancel();
    relays.start(outbox);
    expect([await cancelling, await handle.state(), await rows()]).toEqual([true, undefined, 0]);
  });

  test('a job that never gets to Redis has failed, and says why', async () => {
    const { task } = counting();
    const handle = await inTransaction(task, { n: 1 });
    // In a program that has no engine.
    relays.start(new Outbox(new EntitySerializer(database.orm), { retries: { limit: 0 }, onError: () => {} }));
    await until(async () => (await handle.state()) === 'failed');
    await expect(handle.wait()).rejects.toThrow(
      /stayed in the outbox: ByReferenceError: .*relay in a process that has/,
    );
    expect(await handle.cancel()).toBe(false);
  });

  test('a queue that BullMQ or the outbox has no name for is refused before the commit', async () => {
    const { tasks } = program();
    for (const queue of [`${queueName()}:mails`, 'x'.repeat(250)]) {
      const task = tasks.define(queue, async (_args: { n: number }) => 1);
      expect((await failureOf(() => inTransaction(task, { n: 1 }))).code).toBe('E_INVALID_OPTION');
    }
    expect(await rows()).toBe(0);
  });

  test('byref requeue gives dead letters back to the relays that this code can read', async () => {
    const { tasks, outbox, task, queue, ran } = counting();
    const handle = await inTransaction(task, { n: 1 });
    const unknown = await inTransaction(task, { n: 2 });
    const waiting = await inTransaction(task, { n: 3 });
    const died = { availableAt: null, attempts: 51, error: 'Error: its Redis is away' };
    await fork().nativeUpdate(OutboxMessage, { id: { $in: [handle.id, unknown.id] } }, died);
    const row = await fork().findOneOrFail(OutboxMessage, unknown.id);
    const payload = { ...row.payload, data: { $byref: 1, data: { $entity: ['Invoice', 1] } } };
    await fork().nativeUpdate(OutboxMessage, { id: unknown.id }, { payload });

    const application = { serializer: new EntitySerializer(database.orm), tasks: [tasks] };
    const call = (dryRun: boolean) =>
      requeue(application as never, { names: [queue], dryRun, progress: undefined }) as Promise<unknown>;
    const counted = [{ task: queue, queue, requeued: 1, unreadable: 1, left: 0 }];
    expect(await call(true)).toEqual(counted);
    expect([await handle.state(), await rows()]).toEqual(['failed', 3]);
    expect(await call(false)).toEqual(counted);
    expect([await handle.state(), await unknown.state(), await waiting.state()]).toEqual([
      'waiting',
      'failed',
      'waiting',
    ]);
    expect(await call(false)).toEqual([{ ...counted[0], requeued: 0 }]);
    relays.start(outbox);
    await tasks.work();
    expect([await handle.wait(), await waiting.wait()]).toEqual([1, 3]);
    expect(ran.toSorted()).toEqual([1, 3]);
  });

  test('byref audit finds nothing in an outbox that no migration has made yet', async () => {
    const before = await openDatabase([...domain, OutboxMessage] as never);
    await before.orm.em.getConnection().execute('drop table byref_outbox');
    const serializer = new EntitySerializer(before.orm);
    const queue = { prefix: queueName() };
    const engine = bullmqEngine({ connection: redisConnection(), outbox: new Outbox(serializer), queue });
    const tasks = new Tasks(serializer, engine);
    tasks.define('remind', async () => undefined);
    const application = { serializer, tasks: [tasks] };
    const found = await audit(application as never, { rows: true, sample: 1, progress: undefined });
    expect(found).toEqual({ jobs: 0, tasks: [], problems: [] });
    await tasks.stop();
    await before.close();
  });

  test('byref audit counts a job once that an engine without the outbox finds as well', async () => {
    const { tasks, task, queue } = counting();
    await inTransaction(task, { n: 1 });
    await task.delay({ n: 2 });
    const serializer = new EntitySerializer(database.orm);
    const plain = new Tasks(serializer, bullmqEngine({ connection: redisConnection() }));
    started.push(plain);
    plain.define(queueName(), async () => undefined);
    const application = { serializer, tasks: [tasks, plain] };
    const { tasks: counts } = await audit(application as never, { rows: false, sample: 1, progress: undefined });
    expect(counts.filter((count) => count.queue === queue)).toMatchObject([{ jobs: { waiting: 2 } }]);
  });

  test('byref audit reads jobs in the outbox as it does those in Redis', async () => {
    const prefix = queueName();
    const { tasks, task, queue } = counting({ queue: { prefix }, worker: { prefix } });
    const gone = tasks.declare<{ n: number }>(queueName());
    await inTransaction(task, { n: 1 });
    await fork().nativeUpdate(OutboxMessage, {}, { availableAt: null, error: 'Error: on purpose' });
    await inTransaction(task, { n: 2 });
    await inTransaction(gone as never, { n: 3 });
    await task.delay({ n: 4 });
    const application = { serializer: new EntitySerializer(database.orm), tasks: [tasks] } as never;
    const before = await fork().find(OutboxMessage, {});
    const found = await audit(application, { rows: true, sample: 3, progress: undefined });
    expect(found.tasks.find((each) => each.task === queue)?.jobs).toMatchObject({ waiting: 2, failed: 1 });
    expect([found.jobs, found.problems]).toMatchObject([4, [{ queue: gone.taskName, problem: 'unknown task' }]]);
    expect(await fork().find(OutboxMessage, {})).toEqual(before);
  });

  test('onFlush: the job is part of the transaction that changes the row', async () => {
    const { outbox, tasks } = program();
    const seen: unknown[] = [];
    const index = tasks.define(
      queueName(),
      async ({ change, entity }: Change<User>) => void seen.push([change, entity?.name]),
      { missing: 'null' },
    );
    tasks.onFlush([User], index);
    const em = fork();
    const user = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
    await em.flush();
    expect(await rows()).toBe(1);
    await expect(
      em.transactional(async (tx) => {
        user.name = 'Eve';
        await tx.flush();
        throw new Error('rolled back on purpose');
      }),
    ).rejects.toThrow('on purpose');
    expect(await rows()).toBe(1);
    relays.start(outbox);
    await tasks.work();
    await until(() => seen.length > 0);
    expect(seen).toEqual([['create', 'Ann']]);
    await fork().nativeDelete(User, { id: 1 });
  });

  test('a relay closes the connections that it has opened; those of the engine are the engine’s', async () => {
    const connectionName = queueName();
    const { outbox, tasks, task } = counting({ connection: { ...redisConnection(), connectionName } });
    const redis = new Redis(redisConnection());
    started.push({ stop: () => redis.quit() });
    const clients = async (): Promise<number> =>
      String(await redis.client('LIST')).split(`name=${connectionName}`).length - 1;
    const handle = await inTransaction(task, { n: 1 });
    relays.start(outbox);
    await relayed();
    expect([await clients(), await handle.state(), await clients()]).toEqual([1, 'waiting', 2]);
    await relays.stop();
    await until(async () => (await clients()) === 1);
    await tasks.stop();
    await until(async () => (await clients()) === 0);
  });

  test('an outbox goes with one engine, on Redis, of the tasks’ own ORM', async () => {
    const { outbox } = program();
    const connection = redisConnection();
    const bad: (() => unknown)[] = [
      () => bullmqEngine({ connection, outbox }),
      () => bullmqEngine({ connection, outbox: {} as never }),
      () => bullmqEngine({ connection: { query() {}, connect() {}, end() {} } as never, backend: () => ({}), outbox }),
    ];
    for (const make of bad) {
      const { code, message } = await failureOf(make);
      expect([code, message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('option outbox')]);
    }
    const other = await openDatabase([...domain, OutboxMessage] as never);
    try {
      const own = new Outbox(new EntitySerializer(other.orm));
      const wrong = () => new Tasks(new EntitySerializer(database.orm), bullmqEngine({ connection, outbox: own }));
      expect(await failureOf(wrong)).toMatchObject({ code: 'E_INVALID_OPTION' });
    } finally {
      await other.close();
    }
  });
});
