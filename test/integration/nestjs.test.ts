import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntityManager, type EntityRepository, EntitySchema, MikroORM, RequestContext } from '@mikro-orm/core';
import { Transactional } from '@mikro-orm/decorators/legacy';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
import {
  BullModule,
  getFlowProducerToken,
  getQueueToken,
  InjectFlowProducer,
  InjectQueue,
  JOB_REF,
  OnWorkerEvent,
  Processor,
  WorkerHost,
} from '@nestjs/bullmq';
import {
  Body,
  Controller,
  Get,
  Inject,
  Injectable,
  type INestApplication,
  Module,
  type ModuleMetadata,
  Param,
  Post,
  type Provider,
  Put,
  Scope,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import * as bullmq from 'bullmq';
import { type FlowProducer, type Job, Queue, Worker } from 'bullmq';
import { EntitySerializer } from 'mikro-orm-byref';
import { byReference, bullmqEngine } from 'mikro-orm-byref/bullmq';
import {
  ByReferenceModule,
  type ByReferenceModuleOptions,
  type ByReferenceOptionsFactory,
  type ByReferenceRootOptions,
} from 'mikro-orm-byref/nestjs';
import { type Change, inlineEngine, type JobContext, Task, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import { Author, Book, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { failureOf } from '../support/failure.ts';
import { queueName, until } from '../support/jobs.ts';
import { listen, ormModule, start } from '../support/nest.ts';
import { consumerFolder, packageFolder } from '../support/package.ts';
import { testWith } from '../support/test-with.ts';

type Imports = NonNullable<ModuleMetadata['imports']>;

let database: TestOrm;
const running: { close(): Promise<void> }[] = [];

/** Closed after the test. */
function closing<T extends { close(): Promise<void> }>(one: T): T {
  running.push(one);
  return one;
}
const em = (): EntityManager => database.orm.em.fork();
const emOf = (app: INestApplication): EntityManager => app.get(EntityManager).fork();
const ann = (own = em()): Promise<Author> => own.findOneOrFail(Author, 1);
const changeEmail = (email: string): Promise<unknown> => em().nativeUpdate(Author, { id: 1 }, { email });

beforeAll(async () => {
  database = await openDatabase(library);
});
afterAll(() => database.close());
beforeEach(async () => {
  await em().getConnection().execute('truncate "author" cascade');
  const own = em();
  const author = own.create(Author, { id: 1, email: 'ann@old.example' });
  own.create(Author, { id: 2, email: 'bob@example.org' });
  own.create(Book, { id: 9007199254740993n, title: 'One', printedAt: new Date(0), author });
  own.create(Book, { id: 2n, title: 'Two', printedAt: new Date(1), author });
  await own.flush();
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

describeStores('@nestjs/bullmq', ({ name: kind, open }) => {
  let store: Store;

  beforeAll(async () => {
    store = await open(database.url);
    // @nestjs/bullmq hands its classes no backend.
    if (kind === 'PostgreSQL') bullmq.setDefaultBackendFactory(bullmq.createPostgresBackend as never);
  });
  afterAll(async () => {
    if (kind === 'PostgreSQL') bullmq.setDefaultBackendFactory();
    await store.close();
  });

  const bull = (): Imports[number] => BullModule.forRoot({ connection: store.connection as never });
  const application = async (
    parts: ModuleMetadata,
    byRef: Imports[number] = ByReferenceModule.forRoot(),
  ): Promise<INestApplication> =>
    closing(await start({ ...parts, imports: [ormModule(database.url), bull(), byRef, ...(parts.imports ?? [])] }));
  /** The queue as it is without this library. */
  const plainQueue = (name: string): Queue =>
    closing(new Queue(name, { connection: store.connection as never }, ...(store.backend as [])));
  const finished = async (name: string, id: string): Promise<Job> => {
    const queue = plainQueue(name);
    await until(async () => ['completed', 'failed'].includes(String(await (await queue.getJob(id))?.getState())));
    return (await queue.getJob(id))!;
  };
  const token = { $entity: ['Author', 1] };

  /** A processor that tells what it saw. */
  function mailer(queue: string) {
    const seen: Record<string, unknown>[] = [];
    @Processor(queue)
    class Mailer extends WorkerHost {
      readonly events: unknown[] = [];
      private readonly em: EntityManager;
      private readonly authors: EntityRepository<Author>;

      constructor(
        @Inject(EntityManager) own: EntityManager,
        @InjectRepository(Author) authors: EntityRepository<Author>,
      ) {
        super();
        this.em = own;
        this.authors = authors;
      }

      async process(job: Job<{ author: Author }>): Promise<unknown> {
        const { author } = job.data;
        const isManaged = this.em.getReference(Author, author.id) === author;
        const isSame = (await this.authors.findOneOrFail(author.id)) === author;
        const isContext = RequestContext.getEntityManager() === this.em.getContext();
        seen.push({ email: author.email, isManaged, isSame, isContext });
        await job.updateProgress({ reading: author } as never);
        return { sentTo: author, at: new Date(0) };
      }

      @OnWorkerEvent('completed')
      onCompleted(_job: Job, result: unknown): void {
        this.events.push(result);
      }
    }
    return { Mailer, seen };
  }

  test('a request queues a job, another one changes the row, and the job sees the row of now', async () => {
    const queue = queueName();
    const { Mailer, seen } = mailer(queue);
    @Controller('authors')
    class Authors {
      private readonly own: EntityManager;
      private readonly mails: Queue;

      constructor(@Inject(EntityManager) own: EntityManager, @InjectQueue(queue) mails: Queue) {
        this.own = own;
        this.mails = mails;
      }

      @Post(':id/mails')
      async mail(@Param('id') id: string): Promise<unknown> {
        const author = await this.own.findOneOrFail(Author, Number(id));
        return { job: (await this.mails.add('welcome', { author })).id };
      }

      @Put(':id')
      async change(@Param('id') id: string, @Body() { email }: { email: string }): Promise<void> {
        (await this.own.findOneOrFail(Author, Number(id))).email = email;
        await this.own.flush();
      }
    }
    const imports = [BullModule.registerQueue({ name: queue }), MikroOrmModule.forFeature([Author])];
    const app = await application({ imports, controllers: [Authors], providers: [Mailer] });
    const url = await listen(app);
    await plainQueue(queue).pause();
    const answer = await fetch(`${url}/authors/1/mails`, { method: 'POST' });
    const { job: id } = (await answer.json()) as { job: string };
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ email: 'ann@new.example' });
    expect((await fetch(`${url}/authors/1`, { method: 'PUT', headers, body })).status).toBe(200);
    expect((await plainQueue(queue).getJob(id))!.data).toEqual({ $byref: 1, data: { author: token } });
    await plainQueue(queue).resume();
    const job = await finished(queue, id);
    expect(seen).toEqual([{ email: 'ann@new.example', isManaged: true, isSame: true, isContext: true }]);
    const result = { $byref: 1, data: { sentTo: token, at: { $date: '1970-01-01T00:00:00.000Z' } } };
    expect(job.returnvalue).toEqual(result);
    expect(job.progress).toEqual({ $byref: 1, data: { reading: token } });
    await until(() => app.get(Mailer).events.length === 1);
    expect(app.get(Mailer).events).toEqual([result]);
    expect(await app.get(EntitySerializer).decode(job.returnvalue, { em: emOf(app) })).toMatchObject({
      sentTo: { email: 'ann@new.example' },
    });
  });

  test('a request-scoped processor, and what is injected into it, is made inside the job’s context', async () => {
    const queue = queueName();
    const seen: unknown[] = [];
    @Injectable({ scope: Scope.REQUEST })
    class Audit {
      readonly email: Promise<string>;
      readonly job: Job<{ author: Author }>;

      constructor(@Inject(EntityManager) own: EntityManager, @Inject(JOB_REF) job: Job<{ author: Author }>) {
        this.job = job;
        this.email = own.findOneOrFail(Author, job.data.author.id).then((author) => author.email);
      }
    }
    @Processor({ name: queue, scope: Scope.REQUEST })
    class Mailer extends WorkerHost {
      private readonly audit: Audit;
      private readonly own: EntityManager;

      constructor(@Inject(Audit) audit: Audit, @Inject(EntityManager) own: EntityManager) {
        super();
        this.audit = audit;
        this.own = own;
      }

      async process(job: Job<{ author: Author }>): Promise<unknown> {
        const isManaged = this.own.getReference(Author, 1) === job.data.author;
        seen.push([this.audit.job.data.author === job.data.author, isManaged, await this.audit.email]);
        return job.data.author;
      }
    }
    const app = await application({
      imports: [BullModule.registerQueue({ name: queue })],
      providers: [Audit, Mailer],
    });
    const queued: Queue = app.get(getQueueToken(queue));
    const job = await finished(queue, (await queued.add('x', { author: await ann() })).id!);
    await finished(queue, (await queued.add('y', { author: await ann() })).id!);
    expect(seen).toEqual([
      [true, true, 'ann@old.example'],
      [true, true, 'ann@old.example'],
    ]);
    expect(job.returnvalue).toEqual({ $byref: 1, data: token });
  });

  test('flow producers, bulk and scheduled jobs write tokens', async () => {
    const [queue, flow] = [queueName(), queueName()];
    const { Mailer, seen } = mailer(queue);
    @Injectable()
    class Campaign {
      readonly flows: FlowProducer;

      constructor(@InjectFlowProducer(flow) flows: FlowProducer) {
        this.flows = flows;
      }
    }
    const app = await application({
      imports: [
        BullModule.registerQueue({ name: queue }),
        BullModule.registerFlowProducer({ name: flow }),
        MikroOrmModule.forFeature([Author]),
      ],
      providers: [Mailer, Campaign],
    });
    const author = await ann();
    const child = { name: 'child', queueName: queue, data: { author } };
    const tree = await app
      .get(Campaign)
      .flows.add({ name: 'parent', queueName: queue, data: { author }, children: [child] });
    const [bulk] = await (app.get(getQueueToken(queue)) as Queue).addBulk([{ name: 'bulk', data: { author } }]);
    const scheduled = await (app.get(getQueueToken(queue)) as Queue).upsertJobScheduler(
      'hourly',
      { every: 3_600_000 },
      { data: { author } },
    );
    for (const job of [tree.job, tree.children![0]!.job, bulk!, scheduled]) {
      expect((await finished(queue, job.id!)).data).toEqual({ $byref: 1, data: { author: token } });
    }
    expect(seen.map(({ email }) => email)).toEqual(Array(4).fill('ann@old.example'));
    expect(app.get(getFlowProducerToken(flow))).toBe(app.get(Campaign).flows);
  });

  test('inside a transaction jobs are there with the commit, and never after a rollback', async () => {
    const queue = queueName();
    const { Mailer, seen } = mailer(queue);
    /** Whether the worker could find a job, or has found one. */
    const hasJobs = async (): Promise<boolean> =>
      Object.values(await plainQueue(queue).getJobCounts()).some((count) => count > 0);
    @Injectable()
    class SignUp {
      readonly em: EntityManager;
      readonly mails: Queue;

      constructor(@Inject(EntityManager) own: EntityManager, @InjectQueue(queue) mails: Queue) {
        this.em = own;
        this.mails = mails;
      }

      @Transactional()
      async register(id: number, end: () => void): Promise<string> {
        const author = this.em.create(Author, { id, email: `${id}@example.org` });
        await this.em.flush();
        const job = await this.mails.add('welcome', { author });
        await this.mails.remove((await this.mails.add('too much', { author })).id!);
        expect([await hasJobs(), seen]).toEqual([false, []]);
        end();
        return job.id!;
      }
    }
    const imports = [BullModule.registerQueue({ name: queue }), MikroOrmModule.forFeature([Author])];
    const app = await application({ imports, providers: [Mailer, SignUp] });
    const register = (id: number, end: () => void): Promise<string> =>
      RequestContext.create(app.get(EntityManager), () => app.get(SignUp).register(id, end));
    const lost = register(7, () => {
      throw new Error('rolled back on purpose');
    });
    await expect(lost).rejects.toThrow('on purpose');
    expect([await hasJobs(), seen]).toEqual([false, []]);
    await finished(queue, await register(8, () => undefined));
    expect(await hasJobs()).toBe(true);
    expect(seen).toMatchObject([{ email: '8@example.org', isManaged: true }]);
  });

  describe('the order of imports', () => {
    const orders: readonly (readonly [string, readonly number[]])[] = [
      ['last', [0, 1, 2, 3]],
      ['first', [3, 2, 1, 0]],
      ['between', [2, 3, 0, 1]],
    ];

    test.each(orders)('does not matter: this module comes %s', async (_name, order) => {
      const queue = queueName();
      const { Mailer, seen } = mailer(queue);
      const modules: Imports = [
        ormModule(database.url),
        bull(),
        BullModule.registerQueue({ name: queue }),
        ByReferenceModule.forRoot(),
      ];
      const imports = [...order.map((index) => modules[index]!), MikroOrmModule.forFeature([Author])];
      const app = closing(await start({ imports, providers: [Mailer] }));
      const job = await (app.get(getQueueToken(queue)) as Queue).add('x', { author: await ann() });
      expect((await finished(queue, job.id!)).data).toEqual({ $byref: 1, data: { author: token } });
      expect(seen).toMatchObject([{ email: 'ann@old.example', isManaged: true }]);
    });

    test('does not matter for what a global module queues when it is initialised', async () => {
      const queue = queueName();
      @Injectable()
      class Starter {
        readonly mails: Queue;
        id: string | undefined;

        constructor(@InjectQueue(queue) mails: Queue) {
          this.mails = mails;
        }

        async onModuleInit(): Promise<void> {
          this.id = (await this.mails.add('x', { author: await ann() })).id!;
        }
      }
      class Early {}
      const early = {
        module: Early,
        global: true,
        providers: [Starter],
        imports: [BullModule.registerQueue({ name: queue })],
      };
      const app = closing(
        await start({ imports: [early, bull(), ormModule(database.url), ByReferenceModule.forRoot()] }),
      );
      const job = await plainQueue(queue).getJob(app.get(Starter).id!);
      expect(job!.data).toEqual({ $byref: 1, data: { author: token } });
    });
  });

  test('a serializer that demands signatures has them on queues, flows and processors', async () => {
    const queue = queueName();
    const { Mailer, seen } = mailer(queue);
    const imports = [
      BullModule.registerQueue({ name: queue }),
      BullModule.registerFlowProducer({ name: 'flows' }),
      MikroOrmModule.forFeature([Author]),
    ];
    const serializer = { signingKeys: ['a secret of at least thirty-two bytes'], signed: { purpose: 'jobs' } };
    const engine = inlineEngine();
    const app = await application({ imports, providers: [Mailer] }, ByReferenceModule.forRoot({ serializer, engine }));
    const mails = app.get<Queue>(getQueueToken(queue));
    const flows = app.get<FlowProducer>(getFlowProducerToken('flows'));
    const ids = [
      (await mails.add('x', { author: await ann() })).id!,
      (await flows.add({ name: 'y', queueName: queue, data: { author: await ann() } })).job.id!,
    ];
    for (const id of ids) expect(await (await finished(queue, id)).getState()).toBe('completed');
    const { data, returnvalue } = await finished(queue, ids[0]!);
    expect([data.signature, returnvalue.signature]).toEqual([expect.any(String), expect.any(String)]);
    const forged = await plainQueue(queue).add('x', { $byref: 1, data: { author: token } });
    expect((await finished(queue, forged.id!)).failedReason).toMatch(/signature/);
    expect(seen).toHaveLength(2);
    const task = app.get(Tasks).define(queueName(), async () => 'ran');
    const handle = await task.delay({});
    await app.get(Tasks).work();
    await until(async () => (await handle.state()) === 'completed');
    expect(await engine.find({ name: task.taskName } as never, handle.id)).toMatchObject({
      output: { signature: expect.any(String) },
    });
    const wrong = ByReferenceModule.forRoot({ serializer, jobs: { plain: 'pass' } });
    expect((await failureOf(() => application({}, wrong))).code).toBe('E_INVALID_OPTION');
  });

  describe('several applications in one process', () => {
    const keys = (name: string): ByReferenceRootOptions => ({
      serializer: { signingKeys: [`${name}: a secret of at least thirty-two bytes`] },
      jobs: { signed: { purpose: 'jobs' } },
    });

    test('have each their own serializer, one after the other and at once, and leave nothing behind', async () => {
      const { _workerClass: before } = BullModule as unknown as Record<string, unknown>;
      const build = async (name: string) => {
        const queue = queueName();
        const { Mailer, seen } = mailer(queue);
        const imports = [BullModule.registerQueue({ name: queue }), MikroOrmModule.forFeature([Author])];
        const app = await application({ imports, providers: [Mailer] }, ByReferenceModule.forRoot(keys(name)));
        return { app, queue, seen };
      };
      const run = async ({ app, queue, seen }: Awaited<ReturnType<typeof build>>): Promise<void> => {
        const job = await (app.get(getQueueToken(queue)) as Queue).add('x', { author: await ann() });
        await finished(queue, job.id!);
        expect(seen).toMatchObject([{ email: 'ann@old.example' }]);
        const { data } = (await plainQueue(queue).getJob(job.id!))!;
        expect(await app.get(EntitySerializer).decode(data, { em: emOf(app) })).toBeDefined();
      };
      const first = await build('first');
      await run(first);
      await first.app.close();
      await run(await build('second'));
      const [third, fourth] = await Promise.all([build('third'), build('fourth')]);
      await Promise.all([run(third), run(fourth)]);
      expect((BullModule as unknown as Record<string, unknown>)['_workerClass']).toBe(before);

      // And one that has never heard of this library.
      const queue = queueName();
      const { Mailer, seen } = mailer(queue);
      const plain = closing(
        await start({
          imports: [
            ormModule(database.url),
            bull(),
            BullModule.registerQueue({ name: queue }),
            MikroOrmModule.forFeature([Author]),
          ],
          providers: [Mailer],
        }),
      );
      const job = await (plain.get(getQueueToken(queue)) as Queue).add('x', { author: { id: 1 } });
      expect(job.data).toEqual({ author: { id: 1 } });
      expect((await finished(queue, job.id!)).failedReason).toBeDefined();
      expect(seen).toEqual([]);
    });
  });

  test('jobs under way end before the ORM and the queues close', async () => {
    const [queue, after] = [queueName(), queueName()];
    const seen: string[] = [];
    @Processor(queue)
    class Slow extends WorkerHost {
      private readonly own: EntityManager;
      private readonly next: Queue;

      constructor(@Inject(EntityManager) own: EntityManager, @InjectQueue(after) next: Queue) {
        super();
        this.own = own;
        this.next = next;
      }

      async process({ data }: Job<{ author: Author }>): Promise<void> {
        seen.push('started');
        await sleep(500);
        await this.own.refresh(data.author);
        await this.next.add('next', data);
        seen.push(data.author.email);
      }
    }
    const imports = [BullModule.registerQueue({ name: queue }, { name: after })];
    const app = await application({ imports, providers: [Slow] });
    const job = await (app.get(getQueueToken(queue)) as Queue).add('x', { author: await ann() });
    await until(() => seen.length === 1);
    await changeEmail('ann@new.example');
    await app.close();
    expect(seen).toEqual(['started', 'ann@new.example']);
    expect(await (await finished(queue, job.id!)).getState()).toBe('completed');
    expect(await plainQueue(after).count()).toBe(1);
  });

  test('queues and workers that are by reference already, and doubles, are left', async () => {
    const [queue, faked] = [queueName(), queueName()];
    const { Mailer, seen } = mailer(queue);
    const ours = byReference(new EntitySerializer(database.orm));
    const fake = { add: async () => 'faked' };
    const { _queueClass, _workerClass } = BullModule as unknown as { _queueClass: never; _workerClass: never };
    BullModule.queueClass = ours.Queue as never;
    BullModule.workerClass = ours.Worker as never;
    try {
      const imports = [BullModule.registerQueue({ name: queue }), MikroOrmModule.forFeature([Author])];
      const double = { provide: getQueueToken(faked), useValue: fake };
      const app = await application({ imports, providers: [Mailer, double] });
      const job = await (app.get(getQueueToken(queue)) as Queue).add('x', { author: await ann() });
      expect((await finished(queue, job.id!)).data).toEqual({ $byref: 1, data: { author: token } });
      expect(seen).toMatchObject([{ email: 'ann@old.example' }]);
      expect(await (app.get(getQueueToken(faked)) as typeof fake).add()).toBe('faked');
    } finally {
      BullModule.queueClass = _queueClass;
      BullModule.workerClass = _workerClass;
    }
  });

  test('classes of the application’s own stay in use', async () => {
    const queue = queueName();
    const { Mailer, seen } = mailer(queue);
    const calls: unknown[] = [];
    class CountingQueue extends Queue {
      override async add(...args: Parameters<Queue['add']>) {
        calls.push(args[1]);
        return super.add(...args);
      }
    }
    class CountingWorker extends Worker {
      protected override callProcessJob(...args: Parameters<Worker['callProcessJob']>) {
        calls.push((args[0].data as { author: Author }).author.email);
        return super.callProcessJob(...args);
      }
    }
    const { _queueClass, _workerClass } = BullModule as unknown as { _queueClass: never; _workerClass: never };
    BullModule.queueClass = CountingQueue;
    BullModule.workerClass = CountingWorker;
    try {
      const imports = [BullModule.registerQueue({ name: queue }), MikroOrmModule.forFeature([Author])];
      const app = await application({ imports, providers: [Mailer] });
      const job = await (app.get(getQueueToken(queue)) as Queue).add('x', { author: await ann() });
      await finished(queue, job.id!);
      expect(calls).toEqual([{ $byref: 1, data: { author: token } }, 'ann@old.example']);
      expect(seen).toMatchObject([{ email: 'ann@old.example' }]);
      expect(app.get(Mailer).worker).toBeInstanceOf(CountingWorker);
    } finally {
      BullModule.queueClass = _queueClass;
      BullModule.workerClass = _workerClass;
    }
  });

  test('a queue with a function for a processor is refused: it would be handed tokens', async () => {
    const options = { name: queueName(), processors: [async () => undefined] };
    const { _queueClass, _workerClass } = BullModule as unknown as { _queueClass: never; _workerClass: never };
    // An application that fails to start closes nothing.
    BullModule.queueClass = class extends Queue {
      constructor(...args: ConstructorParameters<typeof Queue>) {
        super(...args);
        closing(this);
      }
    };
    BullModule.workerClass = class extends Worker {
      constructor(...args: ConstructorParameters<typeof Worker>) {
        super(...args);
        closing(this);
      }
    };
    const failure = await failureOf(() => application({ imports: [BullModule.registerQueue(options)] })).finally(() => {
      BullModule.queueClass = _queueClass;
      BullModule.workerClass = _workerClass;
    });
    expect([failure.code, failure.message]).toEqual(['E_UNSUPPORTED', expect.stringContaining('@Processor()')]);
  });

  test('workers that are registered by hand get the rows of now as well', async () => {
    const queue = queueName();
    const { Mailer, seen } = mailer(queue);
    const manual = BullModule.forRoot({
      connection: store.connection as never,
      extraOptions: { manualRegistration: true },
    });
    const imports = [
      manual,
      ByReferenceModule.forRoot(),
      ormModule(database.url),
      BullModule.registerQueue({ name: queue }),
      MikroOrmModule.forFeature([Author]),
    ];
    const { BullRegistrar } = await import('@nestjs/bullmq');
    const app = closing(await start({ imports, providers: [Mailer] }));
    const job = await (app.get(getQueueToken(queue)) as Queue).add('x', { author: await ann() });
    app.get(BullRegistrar).register();
    await finished(queue, job.id!);
    expect(seen).toMatchObject([{ email: 'ann@old.example' }]);
  });

  test('tasks on BullMQ can be injected, are worked, and stop with the application', async () => {
    const name = queueName();
    const seen: string[] = [];
    let begun = 0;
    @Injectable()
    class Reminders {
      readonly send;

      constructor(@Inject(Tasks) tasks: Tasks, @Inject(MikroORM) orm: MikroORM) {
        this.send = tasks.define(name, async ({ author }: { author: Author }) => {
          begun++;
          await sleep(200);
          seen.push((await orm.isConnected()) ? author.email : 'the ORM is closed');
          return { sentTo: author };
        });
      }
    }
    const options = { engine: bullmqEngine({ ...engineStore() }), work: true };
    // Imported later, the ORM closes earlier.
    const imports = [ByReferenceModule.forRoot(options), ormModule(database.url)];
    const app = closing(await start({ imports, providers: [Reminders] }));
    const author = await ann();
    await changeEmail('ann@new.example');
    const handle = await app.get(Reminders).send.delay({ author });
    await until(async () => (await handle.state()) === 'completed');
    expect(seen).toEqual(['ann@new.example']);
    await app.get(Reminders).send.delay({ author: await ann() });
    await until(() => begun === 2);
    await app.close();
    expect(seen).toEqual(['ann@new.example', 'ann@new.example']);
  });

  test('what requests flush while the application stops makes jobs', async () => {
    const name = queueName();
    @Injectable()
    class Index {
      constructor(@Inject(Tasks) tasks: Tasks) {
        const index = tasks.define(name, async (_change: Change<Author>) => undefined, { missing: 'null' });
        tasks.onFlush([Author], index);
      }
    }
    const options = { engine: bullmqEngine({ ...engineStore() }), work: true };
    const app = await start({
      imports: [ByReferenceModule.forRoot(options), ormModule(database.url)],
      providers: [Index],
    });
    const em = app.get(MikroORM).em.fork();
    // Nest waits here for the requests under way.
    const server = app.getHttpAdapter() as unknown as { close(): Promise<unknown> };
    const { close } = server;
    server.close = async () => {
      (await em.findOneOrFail(Author, 1)).email = 'ann@last.example';
      await em.flush();
      return close.call(server);
    };
    await app.close();
    const waiting = plainQueue(name);
    await until(async () => (await waiting.count()) === 1);
  });

  const engineStore = () => ({
    connection: store.connection,
    ...(store.backend[0] && { backend: store.backend[0] as never }),
  });
});

describe('responses', () => {
  @Controller('library')
  class Library {
    private readonly own: EntityManager;

    constructor(@Inject(EntityManager) own: EntityManager) {
      this.own = own;
    }

    @Get('authors')
    authors(): Promise<Author[]> {
      return this.own.find(Author, {}, { orderBy: { id: 1 } });
    }

    @Get('populated')
    populated(): Promise<Author[]> {
      return this.own.find(Author, {}, { populate: ['books'], orderBy: { id: 1, books: { id: 1 } } });
    }

    @Get('books')
    async books(): Promise<unknown> {
      const books = await this.own.find(Book, {}, { orderBy: { id: 1 } });
      const [book] = await this.own.populate(books, ['author']);
      const own = books.map(({ id, ...rest }) => ({ ...rest, id: String(id), author: rest.author }));
      return { own, author: book!.author, ref: book!.author.unwrap().books.isInitialized() };
    }

    @Get('mixed')
    async mixed(): Promise<unknown> {
      const author = await this.own.findOneOrFail(Author, 1);
      return {
        author,
        list: [author, null],
        map: { again: author },
        at: new Date(0),
        reference: this.own.getReference(Author, 2),
      };
    }
  }
  // bigint keys have no JSON of their own.
  const paths = ['authors', 'populated', 'books', 'mixed'];

  test('responses are byte for byte what they are without the module', async () => {
    const answers = async (imports: Imports): Promise<(readonly [number, string | null, string])[]> => {
      const app = closing(await start({ imports: [ormModule(database.url), ...imports], controllers: [Library] }));
      const url = await listen(app);
      const got = [];
      for (const path of paths) {
        const answer = await fetch(`${url}/library/${path}`);
        got.push([answer.status, answer.headers.get('content-type'), await answer.text()] as const);
      }
      return got;
    };
    const before = await answers([]);
    expect(await answers([ByReferenceModule.forRoot()])).toEqual(before);
    expect(before.map(([status]) => status)).toEqual([200, 200, 200, 200]);
    expect(before[1]![2]).toContain('"books":[{');
    expect(before[3]![2]).toContain('ann@old.example');
    expect(JSON.stringify(before)).not.toMatch(/\$entity|hunter2/);
  });
});

describe('tasks without BullMQ', () => {
  @Injectable()
  class Reminders {
    readonly seen: string[] = [];
    /** Of the jobs that ran: whether a request context stands for their EntityManager. */
    readonly hadContext: boolean[] = [];
    readonly send;

    constructor(@Inject(Tasks) tasks: Tasks) {
      this.send = tasks.define('remind', async ({ author }: { author: Author }, job) => {
        this.seen.push(author.email);
        this.hadContext.push(RequestContext.getEntityManager(job.em.name) === job.em);
      });
    }
  }
  @Injectable()
  class FromSettings implements ByReferenceOptionsFactory {
    readonly settings: { readonly work: boolean };
    constructor(@Inject('config') settings: { work: boolean }) {
      this.settings = settings;
    }

    async createByReferenceOptions(): Promise<ByReferenceModuleOptions> {
      return { engine: inlineEngine(), work: this.settings.work };
    }
  }
  const config = { provide: 'config', useValue: { work: true } };
  @Module({ providers: [config, FromSettings], exports: [config, FromSettings] })
  class Settings {}
  const application = async (byRef: Imports[number], contextName?: string): Promise<INestApplication> =>
    closing(await start({ imports: [byRef, ormModule(database.url, contextName)], providers: [Reminders] }));

  test.each<readonly [string, () => Imports[number]]>([
    ['forRoot', () => ByReferenceModule.forRoot({ engine: inlineEngine(), work: true })],
    ['forRoot with a function', () => ByReferenceModule.forRoot({ engine: async () => inlineEngine(), work: true })],
    [
      'forRootAsync',
      () =>
        ByReferenceModule.forRootAsync({
          imports: [{ module: class Config {}, providers: [config], exports: [config] }],
          inject: ['config'],
          useFactory: async ({ work }: { work: boolean }) => ({ engine: () => inlineEngine(), work }),
        }),
    ],
    [
      'forRootAsync with a class',
      () => ByReferenceModule.forRootAsync({ imports: [Settings], useClass: FromSettings }),
    ],
    [
      'forRootAsync with a provider',
      () => ByReferenceModule.forRootAsync({ imports: [Settings], useExisting: FromSettings }),
    ],
  ])('%s: tasks can be injected, and run with the commit', async (_name, module) => {
    const app = await application(module());
    const { send, seen, hadContext } = app.get(Reminders);
    await emOf(app).transactional(async (own) => {
      const author = await ann(own);
      await send.delay({ author });
      author.email = 'ann@new.example';
      expect(seen).toEqual([]);
    });
    await until(() => hadContext.length > 0);
    expect([seen, hadContext]).toEqual([['ann@new.example'], [true]]);
  });

  test('a process that does not work them only enqueues', async () => {
    const app = await application(ByReferenceModule.forRoot({ engine: inlineEngine() }));
    const handle = await app.get(Reminders).send.delay({ author: await ann() });
    expect([await handle.state(), app.get(Reminders).seen]).toEqual(['waiting', []]);
  });

  test('without an engine Nest has no Tasks, or they say so', async () => {
    await expect(application(ByReferenceModule.forRoot())).rejects.toThrow(/Reminders.*Tasks/s);
    const later = () => application(ByReferenceModule.forRootAsync({ useFactory: () => ({}) }));
    const failure = await failureOf(later);
    expect([failure.code, failure.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('option engine')]);
    const unused = { imports: [ormModule(database.url), ByReferenceModule.forRootAsync({ useFactory: () => ({}) })] };
    const app = closing(await start(unused));
    expect(app.get(EntitySerializer).token(await ann()).model).toBe('Author');
  });

  describe('methods', () => {
    type Args = { author: Author };
    const withTasks = async (
      providers: Provider[],
      module = ByReferenceModule.forRoot({ engine: inlineEngine(), work: true }),
    ): Promise<INestApplication> => closing(await start({ imports: [module, ormModule(database.url)], providers }));

    test('of providers are tasks, with what is injected; a factory, a value and an alias among them', async () => {
      @Injectable()
      class Mails {
        readonly seen: unknown[] = [];
        readonly em: EntityManager;
        constructor(@Inject(EntityManager) own: EntityManager) {
          this.em = own;
        }

        @Task('nest.remind')
        async remind({ author }: Args, job?: JobContext): Promise<string> {
          this.seen.push([author.email, this.em.getContext() === job?.em]);
          return author.email;
        }
      }
      class Made {
        readonly by: string;
        constructor(by: string) {
          this.by = by;
        }

        @Task('nest.factory')
        async run(): Promise<string> {
          return this.by;
        }
      }
      class Given {
        @Task('nest.value')
        async run(): Promise<string> {
          return 'value';
        }
      }
      const app = await withTasks([
        Mails,
        { provide: 'alias', useExisting: Mails },
        { provide: 'factory', useFactory: () => new Made('factory') },
        { provide: Given, useValue: new Given() },
        // What Nest itself looks through.
        { provide: 'tasks', inject: [Tasks], useFactory: (tasks: Tasks) => tasks.of(Mails) },
        { provide: 'nothing', useValue: null },
      ]);
      const tasks = app.get(Tasks);
      expect(await (await app.get('tasks').remind.delay({ author: await ann() })).result()).toBe('ann@old.example');
      expect(app.get(Mails).seen).toEqual([['ann@old.example', true]]);
      expect(await (await tasks.of(Made).run.delay()).result()).toBe('factory');
      expect(await (await tasks.of(Given).run.delay()).result()).toBe('value');
    });

    test.each([Scope.REQUEST, Scope.TRANSIENT])(
      'of a provider of scope %s run on an instance of their own, made inside the job’s context',
      async (scope) => {
        const made: unknown[] = [];
        @Injectable({ scope })
        class Mails {
          readonly em: EntityManager;
          readonly job: unknown;
          constructor(@Inject(EntityManager) own: EntityManager, @Inject(REQUEST) job: unknown) {
            made.push(this);
            this.em = own;
            this.job = job;
          }

          @Task('nest.scoped')
          async remind({ author }: Args, job?: JobContext): Promise<unknown> {
            return [author.email, made.indexOf(this), this.em.getContext() === job!.em, this.job === job];
          }
        }
        const app = await withTasks([Mails]);
        const own = app.get(Tasks).of(Mails);
        const results = [];
        for (let n = 0; n < 2; n++) {
          const handle = await own.remind.delay({ author: await ann() });
          results.push(await handle.result());
        }
        const isSame = (index: number): unknown[] => ['ann@old.example', index, true, true];
        expect(results).toEqual([isSame(0), isSame(1)]);
        expect(made).toHaveLength(2);
      },
    );

    test('of two providers of one name are refused at start, and without an engine nobody looks', async () => {
      class Mails {
        @Task('nest.twice')
        async remind(): Promise<void> {}
      }
      const twice: Provider[] = [Mails, { provide: 'other', useClass: Mails }];
      expect((await failureOf(() => withTasks(twice))).code).toBe('E_INVALID_OPTION');
      await withTasks(twice, ByReferenceModule.forRootAsync({ useFactory: () => ({}) }));
    });
  });

  test('the ORM may be one of several', async () => {
    const options = { contextName: 'second', engine: inlineEngine(), work: true };
    const app = await application(ByReferenceModule.forRoot(options), 'second');
    const { send, seen, hadContext } = app.get(Reminders);
    await send.delay({ author: await ann() });
    expect([seen, hadContext]).toEqual([['ann@old.example'], [true]]);
  });

  test.each(['library', undefined])('or several: %s and another one', async (first) => {
    class Note {
      declare id: number;
    }
    const schema = new EntitySchema<Note>({ class: Note, properties: { id: { type: 'number', primary: true } } });
    const notes = MikroOrmModule.forRoot({
      driver: PostgreSqlDriver,
      clientUrl: database.url,
      entities: [schema],
      contextName: 'notes',
      registerRequestContext: false,
    });
    const byRef = ByReferenceModule.forRoot({ contextName: [first, 'notes'] });
    const app = closing(await start({ imports: [byRef, ormModule(database.url, first), notes] }));
    const serializer = app.get(EntitySerializer);
    expect(serializer.registry.names).toEqual(['Author', 'Book', 'Note']);
    expect(serializer.orm.em.name).toBe(first ?? 'default');
  });
});

test('a second copy of @nestjs/bullmq is refused: its processors would be handed tokens', async () => {
  class BullRegistrar {}
  const imports = [ormModule(database.url), ByReferenceModule.forRoot()];
  expect((await failureOf(() => start({ imports, providers: [BullRegistrar] }))).code).toBe('E_UNSUPPORTED');
});

test('options are checked', async () => {
  const bad: readonly ByReferenceRootOptions[] = [
    { engin: inlineEngine() } as never,
    { engine: {} as never },
    { work: true },
    { work: 'yes' as never, engine: inlineEngine() },
    { jobs: { plain: 'maybe' as never } },
    { tasks: { plain: 'maybe' as never } },
    { contextName: '' },
    { contextName: [] },
  ];
  for (const options of bad) {
    expect((await failureOf(() => ByReferenceModule.forRoot(options))).code).toBe('E_INVALID_OPTION');
  }
  const none = (): ByReferenceModuleOptions => ({});
  class Options {
    createByReferenceOptions = none;
  }
  for (const options of [
    {},
    { useFactory: none, useClass: Options },
    { useClass: Options, useExisting: Options },
    { useClass: 'Options' },
    { useFactory: 'none' },
  ] as never[]) {
    expect((await failureOf(() => ByReferenceModule.forRootAsync(options))).code).toBe('E_INVALID_OPTION');
  }
  for (const options of [
    { engine: () => ({}) as never },
    { serializer: { models: 'some' as never } },
    { work: true },
  ]) {
    const module = ByReferenceModule.forRootAsync({ useFactory: () => options });
    const failure = await failureOf(() => start({ imports: [ormModule(database.url), module] }));
    expect(failure.code).toBe('E_INVALID_OPTION');
  }
});

describe('as it is published', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const run = (script: string, ...args: string[]): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
      timeout: 60_000,
    });

  test('an application with pg-boss needs no bullmq and no @nestjs/bullmq', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'byref-nest-'));
    const packages = join(folder, 'node_modules');
    mkdirSync(join(packages, '@nestjs'), { recursive: true });
    const others = new Set([consumerFolder, root].flatMap((project) => readdirSync(join(project, 'node_modules'))));
    for (const name of [...others, '@nestjs/common', '@nestjs/core']) {
      if (/^(?:\.|@nestjs$|bullmq|mikro-orm-byref$)/.test(name)) continue;
      const installed = join(consumerFolder, 'node_modules', name);
      symlinkSync(existsSync(installed) ? installed : join(root, 'node_modules', name), join(packages, name));
    }
    mkdirSync(join(packages, 'mikro-orm-byref'));
    for (const name of ['dist', 'package.json']) {
      cpSync(join(packageFolder, name), join(packages, 'mikro-orm-byref', name), { recursive: true });
    }
    cpSync(join(root, 'test/support/nest-with-pg-boss.ts'), join(folder, 'application.ts'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    try {
      expect((await run(join(folder, 'application.ts'), database.url)).stdout).toBe('ann@old.example\n');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  testWith('redis-server')('an application with BullMQ on Redis ends by itself once it is closed', async () => {
    const people = await openDatabase(domain);
    try {
      await people.orm.em.fork().insert(User, {
        id: 1,
        name: 'Ann',
        email: 'ann@example.org',
        version: 1,
        updatedAt: new Date(),
      });
      const script = join(root, 'test/support/nest-with-bullmq.ts');
      const { stdout } = await run(script, people.url, process.env['TEST_REDIS_URL']!);
      expect(stdout).toBe('processor ann@example.org, task ann@example.org\n');
    } finally {
      await people.close();
    }
  });
});
