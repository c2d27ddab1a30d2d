import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { EntityManager, RequestContext } from '@mikro-orm/core';
import {
  BullModule,
  getQueueToken,
  OnQueueEvent,
  OnWorkerEvent,
  Processor,
  QueueEventsHost,
  QueueEventsListener,
  WorkerHost,
} from '@nestjs/bullmq';
import { Inject, type INestApplication, type Type } from '@nestjs/common';
import * as bullmq from 'bullmq';
import { type Job, Queue } from 'bullmq';
import { ByReferenceModule, Revive, type ByReferenceRootOptions } from 'mikro-orm-byref/nestjs';
import { Author, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { queueName, until } from '../support/jobs.ts';
import { ormModule, start } from '../support/nest.ts';

type Data = { author: Author };

let database: TestOrm;
const running: { close(): Promise<unknown> }[] = [];
const em = (): EntityManager => database.orm.em.fork();
const ann = (): Promise<Author> => em().findOneOrFail(Author, 1);
const token = { $entity: ['Author', 1] };

beforeAll(async () => {
  database = await openDatabase(library);
});
afterAll(() => database.close());
beforeEach(async () => {
  await em().nativeDelete(Author, {});
  await em().insert(Author, { id: 1, email: 'ann@old.example', password: 'hunter2' });
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

describeStores('@OnWorkerEvent with @Revive', ({ name: kind, open }) => {
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

  const application = async (
    name: string,
    readers: Type | readonly Type[],
    options: ByReferenceRootOptions = {},
  ): Promise<INestApplication> => {
    const app = await start({
      imports: [
        ormModule(database.url),
        BullModule.forRoot({ connection: store.connection as never }),
        BullModule.registerQueue({ name }),
        ByReferenceModule.forRoot({ ...options, jobs: { retryMissingForMs: 0, ...options.jobs } }),
      ],
      providers: [readers].flat(),
    });
    running.push(app);
    return app;
  };
  const queueOf = (app: INestApplication, name: string): Queue<Data> => app.get(getQueueToken(name));

  /** A processor whose handlers tell what they saw, with `process` for its work. */
  function readerOf(name: string, process: (job: Job<Data>) => unknown) {
    const seen: unknown[][] = [];
    @Processor(name)
    class Reader extends WorkerHost {
      readonly em: EntityManager;
      constructor(@Inject(EntityManager) own: EntityManager) {
        super();
        this.em = own;
      }

      process(job: Job<Data>): Promise<unknown> {
        return Promise.resolve(process(job));
      }

      #saw(event: string, job: Job<Data>, ...others: unknown[]): void {
        const { author } = job.data;
        const isOwn = this.em.getContext() === RequestContext.getEntityManager();
        seen.push([event, author?.email, author && this.em.getReference(Author, 1) === author, isOwn, ...others]);
      }

      @OnWorkerEvent('active')
      @Revive()
      async onActive(job: Job<Data>): Promise<void> {
        this.#saw('active', job);
        if (job.data.author !== null) job.data.author.email = 'never flushed';
      }

      @Revive()
      @OnWorkerEvent('progress')
      onProgress(job: Job<Data>, progress: { reading: Author }): void {
        this.#saw('progress', job, progress.reading === job.data.author, job.progress === (progress as never));
      }

      @OnWorkerEvent('completed')
      @Revive()
      async onCompleted(job: Job<Data>, result: { sentTo: Author }): Promise<void> {
        this.#saw('completed', job, result.sentTo === job.data.author, job.returnvalue === result);
        if (job.data.author === null) return;
        job.data.author.email = 'ann@seen.example';
        await this.em.flush();
      }

      @OnWorkerEvent('failed')
      @Revive()
      onFailed(job: Job<Data>, error: Error): void {
        this.#saw('failed', job, error.message);
      }

      @OnWorkerEvent('completed')
      plain(job: Job, result: unknown): void {
        seen.push(['plain', job.data, result]);
      }
    }
    return { Reader, seen, of: (event: string) => seen.filter(([name]) => name === event) };
  }

  test('gives the rows of now, in an EntityManager of the event’s own', async () => {
    const name = queueName();
    const { Reader, of } = readerOf(name, async (job) => {
      await job.updateProgress({ reading: job.data.author } as never);
      await em().nativeUpdate(Author, { id: 1 }, { email: 'ann@new.example' });
      return { sentTo: job.data.author };
    });
    const app = await application(name, Reader);
    await queueOf(app, name).add('x', { author: await ann() });
    await until(() => ['active', 'completed', 'progress'].every((event) => of(event).length === 1));
    expect(of('active')).toEqual([['active', expect.stringMatching(/^ann@/), true, true]]);
    expect(of('progress')).toEqual([['progress', expect.stringMatching(/^ann@/), true, true, true, true]]);
    expect(of('completed')).toEqual([['completed', 'ann@new.example', true, true, true, true]]);
    await until(async () => (await ann()).email === 'ann@seen.example');
    const stored = { $byref: 1, data: { author: token } };
    expect(of('plain')).toEqual([['plain', stored, { $byref: 1, data: { sentTo: token } }]]);
  });

  test('null stands for a row that is gone, and no event is lost for it', async () => {
    const name = queueName();
    const { Reader, of } = readerOf(name, async (job) => {
      await em().nativeDelete(Author, { id: 1 });
      return { sentTo: job.data.author };
    });
    const app = await application(name, Reader);
    const author = await ann();
    await queueOf(app, name).add('removes it', { author });
    await until(() => of('completed').length === 1);
    await queueOf(app, name).add('misses it', { author });
    await until(() => of('failed').length === 1);
    expect(of('completed')).toEqual([['completed', undefined, null, true, true, true]]);
    expect(of('failed')).toEqual([['failed', undefined, null, true, expect.stringContaining('Author')]]);
  });

  test('what can’t be read does not keep the event: reading its data throws why, and BullMQ tells it', async () => {
    const name = queueName();
    const seen: unknown[] = [];
    @Processor(name)
    class Reader extends WorkerHost {
      async process(): Promise<void> {}

      @OnWorkerEvent('failed')
      @Revive()
      async onFailed(job: Job, error: Error): Promise<void> {
        seen.push([job.name, error.message]);
        seen.push(job.data);
      }

      @OnWorkerEvent('error')
      onError(error: { code?: unknown }): void {
        seen.push(error.code);
      }
    }
    const serializer = { signingKeys: ['a secret of at least thirty-two bytes'] };
    const app = await application(name, Reader, { serializer, jobs: { signed: { purpose: 'jobs' } } });
    const forger = new Queue(name, { connection: store.connection as never }, ...(store.backend as []));
    running.push(forger);
    await forger.add('forged', { $byref: 1, data: { author: token } });
    await until(() => seen.length === 2);
    expect(seen).toEqual([['forged', expect.stringMatching(/signature/)], 'E_BAD_SIGNATURE']);
    expect(app.get(Reader)).toBeInstanceOf(Reader);
  });

  test('events of a queue bring the rows of now in results and progress, whoever ran the job', async () => {
    const name = queueName();
    const { Reader } = readerOf(name, async (job) => {
      await job.updateProgress({ reading: job.data.author } as never);
      if (job.name === 'removes it') await em().nativeDelete(Author, { id: 1 });
      return { sentTo: job.data.author };
    });
    const seen: unknown[][] = [];
    @QueueEventsListener(name)
    class Listener extends QueueEventsHost {
      readonly em: EntityManager;
      constructor(@Inject(EntityManager) own: EntityManager) {
        super();
        this.em = own;
      }

      @OnQueueEvent('completed')
      @Revive()
      async onCompleted({
        jobId,
        returnvalue,
      }: {
        jobId: string;
        returnvalue: { sentTo: Author | null };
      }): Promise<void> {
        const { sentTo } = returnvalue;
        const isOwn = sentTo === null || this.em.getReference(Author, 1) === sentTo;
        seen.push(['completed', jobId, sentTo?.email, isOwn]);
        if (sentTo !== null) throw new Error('on purpose');
      }

      @OnQueueEvent('progress')
      @Revive()
      onProgress({ data }: { data: { reading: Author } }): void {
        seen.push(['progress', data.reading.email]);
      }

      @OnQueueEvent('completed')
      plain({ returnvalue }: { returnvalue: unknown }): void {
        seen.push(['plain', returnvalue]);
      }

      @OnQueueEvent('error' as never)
      onError({ message }: Error): void {
        seen.push(['error', message]);
      }
    }
    const of = (event: string): unknown[][] => seen.filter(([own]) => own === event);
    const serializer = { signingKeys: ['a secret of at least thirty-two bytes'], signed: { purpose: 'jobs' } };
    const app = await application(name, [Reader, Listener], { serializer });
    await app.get(Listener).queueEvents.waitUntilReady();
    const author = await ann();
    const first = await queueOf(app, name).add('x', { author });
    await until(() => ['error', 'plain', 'progress'].every((event) => of(event).length === 1));
    // The worker's own handler changes the row meanwhile.
    const email = expect.stringMatching(/^ann@(?:old|seen)\.example$/);
    expect(of('progress')).toEqual([['progress', email]]);
    expect(of('completed')).toEqual([['completed', first.id, email, true]]);
    expect(of('error')).toEqual([['error', 'on purpose']]);
    expect(of('plain')).toEqual([['plain', expect.objectContaining({ data: { sentTo: token } })]]);
    const second = await queueOf(app, name).add('removes it', { author });
    await until(() => of('completed').length === 2);
    expect(of('completed')[1]).toEqual(['completed', second.id, undefined, true]);
  });

  test('what a handler fails with is an event of the worker', async () => {
    const name = queueName();
    const seen: unknown[] = [];
    @Processor(name)
    class Reader extends WorkerHost {
      async process(): Promise<void> {}

      @OnWorkerEvent('completed')
      @Revive()
      async onCompleted(): Promise<void> {
        throw new Error('on purpose');
      }

      @OnWorkerEvent('error')
      onError(error: Error): void {
        seen.push(error.message);
      }
    }
    const app = await application(name, Reader);
    await queueOf(app, name).add('x', { author: await ann() });
    await until(() => seen.length > 0);
    expect(seen).toEqual(['on purpose']);
  });

  test('signed jobs, results and progress are taken as what they are', async () => {
    const name = queueName();
    const { Reader, of } = readerOf(name, async (job) => {
      await job.updateProgress({ reading: job.data.author } as never);
      return { sentTo: job.data.author };
    });
    const serializer = { signingKeys: ['a secret of at least thirty-two bytes'], signed: { purpose: 'jobs' } };
    const app = await application(name, Reader, { serializer });
    await queueOf(app, name).add('x', { author: await ann() });
    await until(() => ['active', 'completed', 'progress'].every((event) => of(event).length === 1));
    expect(of('completed')).toEqual([['completed', 'ann@old.example', true, true, true, true]]);
  });
});

test('without ByReferenceModule a handler with @Revive says so', async () => {
  class Reader extends WorkerHost {
    async process(): Promise<void> {}

    @Revive()
    async onCompleted(): Promise<void> {}
  }
  const reader = new Reader();
  Object.assign(reader, { _worker: {} });
  await expect(reader.onCompleted()).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
});
