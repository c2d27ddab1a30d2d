import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, RequestContext } from '@mikro-orm/core';
import { Processor, WorkerHost, BullModule, getQueueToken } from '@nestjs/bullmq';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { type Job, Queue } from 'bullmq';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import * as bullmq from 'mikro-orm-byref/bullmq';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import * as pgBoss from 'mikro-orm-byref/pg-boss';
import type { TaskContext } from 'mikro-orm-byref/tasks';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { failureOf } from '../support/failure.ts';
import { queueName, until } from '../support/jobs.ts';
import { start } from '../support/nest.ts';
import { Note, NoteSchema, tenant, tenantContext } from '../support/tenants.ts';

type Data = { note: Note; step?: number };

let database: TestOrm;
let serializer: EntitySerializer;
const opened: { close(): Promise<unknown> }[] = [];

function closing<T extends { close(): Promise<unknown> }>(one: T): T {
  opened.push(one);
  return one;
}
const em = (): EntityManager => database.orm.em.fork();
const note = (id = 1): Note => em().getReference(Note, id);
const keys = { signingKeys: ['a secret of at least thirty-two bytes'] };
const seenBy = ({ text }: Note): string => `${text} for ${tenant.getStore()}`;

beforeAll(async () => {
  database = await openDatabase([NoteSchema]);
  serializer = new EntitySerializer(database.orm, keys);
  const own = em();
  own.create(Note, { id: 1, tenant: 'acme', text: 'of acme' });
  own.create(Note, { id: 2, tenant: 'other', text: 'of other' });
  await own.flush();
});
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close();
});
afterAll(() => database.close());

describeStores('a context with BullMQ', ({ open, name: kind }) => {
  let store: Store;
  const connection = (): { connection: never } => ({ connection: store.connection as never });
  const classes = (options: bullmq.AdapterOptions = {}): bullmq.ByReferenceClasses =>
    bullmq.byReference(serializer, { context: tenantContext, retryMissingForMs: 0, ...options });
  const queueOf = (name: string, options?: bullmq.AdapterOptions) =>
    closing(new (classes(options).Queue)<Data>(name, connection(), ...store.backend));
  const work = (name: string, process: (job: Job<Data>) => unknown, options?: bullmq.AdapterOptions) =>
    closing(new (classes(options).Worker)<Data>(name, async (job) => process(job), connection(), ...store.backend));
  const ended = async (queue: Queue, id: string): Promise<Job> => {
    await until(async () => ['completed', 'failed'].includes(await (await queue.getJob(id))!.getState()));
    return (await queue.getJob(id))!;
  };

  beforeAll(async () => {
    store = await open(database.url);
  });
  afterAll(() => store.close());

  test('runs around the processor, and before the rows are read', async () => {
    const queue = queueOf(queueName());
    const [own, foreign] = [
      await tenant.run('acme', () => queue.add('own', { note: note() })),
      await tenant.run('other', () => queue.add('foreign', { note: note() })),
    ];
    expect(own.data).toMatchObject({ context: { tenant: 'acme' } });
    const seen: string[] = [];
    work(queue.name, async ({ data }) => {
      seen.push(seenBy(data.note));
      expect(await RequestContext.getEntityManager()!.count(Note)).toBe(1);
    });
    expect(await (await ended(queue, own.id!)).getState()).toBe('completed');
    expect((await ended(queue, foreign.id!)).failedReason).toMatch(/Note/);
    expect(seen).toEqual(['of acme for acme']);
  });

  test('a flow’s parents and children, bulk and scheduled jobs have theirs', async () => {
    const queue = queueOf(queueName());
    const flows = closing(new (classes().FlowProducer)(connection(), ...store.backend));
    await tenant.run('acme', async () => {
      const children = [{ name: 'child', queueName: queue.name, data: { note: note() } }];
      await flows.add({ name: 'parent', queueName: queue.name, data: { note: note() }, children });
      await queue.addBulk([{ name: 'bulk', data: { note: note() } }]);
      await queue.upsertJobScheduler('daily', { every: 86_400_000 }, { name: 'scheduled', data: { note: note() } });
    });
    const seen: string[] = [];
    work(queue.name, async (job) => {
      seen.push(`${job.name}: ${seenBy(job.data.note)}`);
      if (job.name === 'parent') seen.push(...Object.values(await job.getChildrenValues<string>()));
      return job.name === 'child' ? 'of a child' : undefined;
    });
    await until(() => seen.length === 5);
    expect(seen.sort()).toEqual([
      'bulk: of acme for acme',
      'child: of acme for acme',
      'of a child',
      'parent: of acme for acme',
      'scheduled: of acme for acme',
    ]);
  });

  test('other data for a job leaves it in the context that it was made in', async () => {
    const queue = queueOf(queueName(), { signed: { purpose: 'jobs' } });
    const job = await tenant.run('acme', () => queue.add('x', { note: note() }, { attempts: 2 }));
    await tenant.run('other', async () => (await queue.getJob(job.id!))!.updateData({ note: note(), step: 1 }));
    const seen: unknown[] = [];
    const process = async (own: Job<Data>): Promise<void> => {
      seen.push(`${own.data.step}: ${seenBy(own.data.note)}`);
      if (own.data.step === 2) return;
      await tenant.run('other', () => own.updateData({ note: note(), step: 2 }));
      throw new Error('on purpose');
    };
    work(queue.name, process, { signed: { purpose: 'jobs' } });
    expect(await (await ended(queue, job.id!)).getState()).toBe('completed');
    expect(seen).toEqual(['1: of acme for acme', '2: of acme for acme']);
  });

  test('is under the signature', async () => {
    const queue = queueOf(queueName(), { signed: { purpose: 'jobs' } });
    const job = await tenant.run('acme', () => queue.add('x', { note: note() }));
    const plain = closing(new Queue(queue.name, connection(), ...(store.backend as [])));
    const forged = await plain.add('x', { ...job.data, context: { tenant: 'other' } });
    const seen: string[] = [];
    work(queue.name, ({ data }) => seen.push(seenBy(data.note)), { signed: { purpose: 'jobs' } });
    expect((await ended(queue, forged.id!)).failedReason).toMatch(/signature/);
    expect(await (await ended(queue, job.id!)).getState()).toBe('completed');
    expect(seen).toEqual(['of acme for acme']);
  });

  test('what run() fails with fails the job; what the processor fails with, run() can’t take back', async () => {
    const queue = queueOf(queueName());
    const { capture } = tenantContext;
    const runs: Record<string, TaskContext['run']> = {
      'did not call next': async () => undefined,
      'after it': async (_context, _em, next) => {
        await next();
        throw new Error('after it');
      },
      'by the processor': (_context, _em, next) => next().catch(() => undefined),
    };
    for (const [message, run] of Object.entries(runs)) {
      const job = await queue.add('x', { note: null as never });
      const worker = work(
        queue.name,
        () => {
          if (message === 'by the processor') throw new Error(message);
        },
        { context: { capture, run } },
      );
      expect((await ended(queue, job.id!)).failedReason).toContain(message);
      await worker.close();
    }
  });

  test('is written and read as data is: its rows are those of now', async () => {
    const seen: unknown[] = [];
    const context: TaskContext = {
      capture: () => ({ of: note(), at: new Date(7) }) as never,
      async run(captured, own, next) {
        const { of, at } = captured as unknown as { of: Note; at: Date };
        seen.push(of.text, at.getTime());
        own.setFilterParams('tenant', { tenant: of.tenant });
        await next();
      },
    };
    const queue = queueOf(queueName(), { context });
    const job = await queue.add('x', { note: note() });
    expect(job.data).toMatchObject({ context: { of: { $entity: ['Note', 1] } } });
    work(queue.name, ({ data }) => seen.push(data.note.text), { context });
    await ended(queue, job.id!);
    expect(seen).toEqual(['of acme', 7, 'of acme']);
  });

  test('jobs of other producers have none', async () => {
    const name = queueName();
    const plain = closing(new Queue(name, connection(), ...(store.backend as [])));
    const job = await plain.add('x', { userId: 1 });
    const seen: unknown[] = [];
    const run: TaskContext['run'] = (captured, _em, next) => {
      seen.push(captured);
      return next();
    };
    work(name, () => undefined, { context: { capture: () => 1, run } });
    expect(await (await ended(plain, job.id!)).getState()).toBe('completed');
    expect(seen).toEqual([undefined]);
  });

  if (kind === 'Redis') {
    test('with @nestjs/bullmq it is the option jobs.context', async () => {
      const name = queueName();
      const seen: string[] = [];
      @Processor(name)
      class Reader extends WorkerHost {
        async process({ data }: Job<Data>): Promise<void> {
          seen.push(seenBy(data.note));
        }
      }
      const app = await start({
        imports: [
          MikroOrmModule.forRoot({ driver: PostgreSqlDriver, clientUrl: database.url, entities: [NoteSchema] }),
          BullModule.forRoot(connection()),
          BullModule.registerQueue({ name }),
          ByReferenceModule.forRoot({ jobs: { context: tenantContext, retryMissingForMs: 0 } }),
        ],
        providers: [Reader],
      });
      closing(app);
      const queue = app.get<Queue>(getQueueToken(name));
      const own = await tenant.run('acme', () => queue.add('x', { note: note() }));
      const foreign = await tenant.run('other', () => queue.add('x', { note: note() }));
      await ended(queue, own.id!);
      expect((await ended(queue, foreign.id!)).failedReason).toMatch(/Note/);
      expect(seen).toEqual(['of acme for acme']);
    });
  }
});

describe('a context with pg-boss', () => {
  let boss: PgBoss;
  const byReference = (options: pgBoss.AdapterOptions = {}): PgBoss =>
    pgBoss.byReference(serializer, boss, { context: tenantContext, retryMissingForMs: 0, ...options });
  const polling = { pollingIntervalSeconds: 0.5 } as const;
  let queue: string;
  const stateOf = async (id: string | null) => (await boss.findJobs(queue, { id: id! }))[0]!.state;

  beforeAll(async () => {
    boss = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
    boss.on('error', () => undefined);
    await boss.start();
  });
  beforeEach(async () => {
    queue = queueName();
    await boss.createQueue(queue, { retryLimit: 1 });
  });
  afterEach(() => boss.offWork(queue, { wait: true }));
  afterAll(() => boss.stop({ graceful: false }));

  test('jobs of two contexts are two calls of the handler, each with the rows of its own', async () => {
    const own = byReference();
    const jobs = (...ids: number[]) => ids.map((id) => ({ data: { note: note(id) } }));
    await tenant.run('acme', () => own.insert(queue, jobs(1, 1)));
    await tenant.run('other', () => own.send(queue, jobs(2)[0]!.data));
    const foreign = await tenant.run('other', () => own.send({ name: queue, ...jobs(1)[0]! }));
    const seen: string[] = [];
    await own.work<Data>(queue, { ...polling, batchSize: 10 }, async (list) => {
      seen.push(list.map(({ data }) => seenBy(data.note)).join(', '));
    });
    await until(() => seen.length === 2);
    expect(seen.sort()).toEqual(['of acme for acme, of acme for acme', 'of other for other']);
    await until(async () => (await stateOf(foreign)) === 'failed');
  });

  test('is under the signature, also of a job without data', async () => {
    const own = byReference({ signed: { purpose: 'jobs' } });
    const [good, empty] = await tenant.run('acme', () =>
      Promise.all([own.send(queue, { note: note() }), own.send(queue)]),
    );
    const [stored] = await boss.findJobs<object>(queue, { id: good! });
    const forged = await boss.send(queue, { ...stored!.data, context: { tenant: 'other' } });
    const seen: unknown[] = [];
    await own.work<Data | null>(queue, { ...polling, batchSize: 10 }, async (list) => {
      seen.push(...list.map(({ data }) => (data === null ? tenant.getStore() : seenBy(data.note))));
    });
    await until(async () => (await stateOf(forged)) === 'failed');
    await until(async () => (await stateOf(good)) === 'completed' && (await stateOf(empty)) === 'completed');
    expect(seen.sort()).toEqual(['acme', 'of acme for acme']);
  });

  test('what run() fails with fails the jobs of its context, and no others', async () => {
    const failing = new Set(['acme']);
    const { capture, run } = tenantContext;
    const context: TaskContext = {
      capture,
      async run(captured, own, next) {
        await run(captured, own, next);
        if (failing.delete((captured as { tenant: string }).tenant)) throw new Error('after it');
      },
    };
    const own = byReference({ context });
    const ids = [];
    for (const [index, name] of ['acme', 'other'].entries()) {
      ids.push(await tenant.run(name, () => own.send(queue, { note: note(index + 1) })));
    }
    const seen: string[] = [];
    await own.work<Data>(queue, { ...polling, batchSize: 2 }, async ([job]) => void seen.push(job!.data.note.text));
    for (const id of ids) await until(async () => (await stateOf(id)) === 'completed');
    expect(seen.sort()).toEqual(['of acme', 'of acme', 'of other']);
  });

  test('fetch reads the rows of each job in its context', async () => {
    const own = byReference();
    await tenant.run('acme', () => own.send(queue, { note: note(1) }));
    await tenant.run('other', () => own.send(queue, { note: note(2) }));
    const fetched = await RequestContext.create(em(), () => own.fetch<Data>(queue, { batchSize: 2 }));
    expect(fetched.map(({ data }) => data.note.text).sort()).toEqual(['of acme', 'of other']);
  });
});

test('unknown options, and a context without its two functions, are refused at once', async () => {
  const wrong = [{ contxt: tenantContext }, { context: { capture: () => 1 } }, { context: 'acme' }];
  for (const options of wrong as never[]) {
    for (const make of [
      () => bullmq.byReference(serializer, options),
      () => bullmq.byReferenceProcessor(serializer, async () => 1, options),
      () => pgBoss.byReference(serializer, {}, options),
      () => ByReferenceModule.forRoot({ jobs: options }),
    ]) {
      expect((await failureOf(make)).code).toBe('E_INVALID_OPTION');
    }
  }
});
