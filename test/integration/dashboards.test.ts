/** What people look at jobs with: it shows tokens, never the data of rows. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { Queue } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine, byReference } from 'mikro-orm-byref/bullmq';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { queueName as name, until } from '../support/jobs.ts';

const SECRETS = /ann@example|hunter2/;

describeStores('BullMQ', ({ open }) => {
  let database: TestOrm;
  let serializer: EntitySerializer;
  let store: Store;
  const cleanUps: (() => unknown)[] = [];
  const connection = (): { connection: never } => ({ connection: store.connection as never });

  beforeAll(async () => {
    database = await openDatabase(domain);
    serializer = new EntitySerializer(database.orm);
    store = await open(database.url);
    const em = database.orm.em.fork();
    em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
    await em.flush();
  });
  afterAll(async () => {
    await store.close();
    await database.close();
  });

  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });

  test('Bull Board shows the data, results and failures of jobs as tokens', async () => {
    const { Queue: ByReferenceQueue, Worker } = byReference(serializer);
    const queue = new ByReferenceQueue<{ user: User }>(name(), connection(), ...store.backend);
    const worker = new Worker<{ user: User }>(
      queue.name,
      async (job) => {
        await job.updateProgress({ reading: job.data.user } as never);
        if (job.name === 'fails') await database.orm.em.execute(`select '${job.data.user.email}'::int`);
        return job.data;
      },
      connection(),
      ...store.backend,
    );
    cleanUps.push(
      () => worker.close(),
      () => queue.close(),
    );
    const engine = bullmqEngine({ ...connection(), ...(store.backend[0] && { backend: store.backend[0] }) });
    const tasks = new Tasks(serializer, engine);
    cleanUps.push(() => tasks.stop());
    const task = tasks.define(name(), async (args: { user: User }) => args);
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    await tasks.work();
    const handle = await task.delay({ user });
    for (const job of ['works', 'fails']) await queue.add(job, { user });
    await until(async () => (await queue.getCompletedCount()) + (await queue.getFailedCount()) === 2);
    await until(async () => (await handle.state()) === 'completed');

    const ofTask = new Queue(task.taskName, connection(), ...(store.backend as []));
    cleanUps.push(() => ofTask.close());
    const board = new ExpressAdapter();
    createBullBoard({
      queues: [queue, ofTask].map((shown) => new BullMQAdapter(shown as never)),
      serverAdapter: board,
    });
    const server = createServer(board.getRouter() as never).listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanUps.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const shown: string[] = [];
    for (const [of, status] of [
      [queue, 'completed'],
      [queue, 'failed'],
      [ofTask, 'completed'],
    ] as const) {
      const url = `http://127.0.0.1:${port}/api/queues?activeQueue=${of.name}&status=${status}&page=1&jobsPerPage=10`;
      shown.push(await (await fetch(url)).text());
    }
    for (const text of shown) {
      expect(text).toContain('$entity');
      expect(text).not.toMatch(SECRETS);
    }
  });

  test('OpenTelemetry: a trace goes on in the worker, also from inside a transaction', async () => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    trace.setGlobalTracerProvider(provider);
    const { Queue: ByReferenceQueue, Worker } = byReference(serializer);
    const settings = { ...connection(), telemetry: new BullMQOtel({ tracerName: 'bullmq' }) };
    const queue = new ByReferenceQueue<{ user: User }>(name(), settings, ...store.backend);
    const seen = new Map<string, string | undefined>();
    const worker = new Worker<{ user: User }>(
      queue.name,
      async (job) => {
        seen.set(job.name, trace.getActiveSpan()?.spanContext().traceId);
        return job.data;
      },
      settings,
      ...store.backend,
    );
    const close = (): Promise<unknown> => Promise.all([worker.close(), queue.close()]);
    cleanUps.push(close, () => [context, propagation, trace].map((api) => api.disable()));
    const tracer = trace.getTracer('test');
    const traced = (job: string, add: () => Promise<unknown>): Promise<string> =>
      tracer.startActiveSpan(job, async (span) => {
        await add();
        span.end();
        return span.spanContext().traceId;
      });
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    const expected = new Map([
      ['outside', await traced('outside', () => queue.add('outside', { user }))],
      [
        'inside',
        await database.orm.em.fork().transactional(async (em) => {
          const found = await em.findOneOrFail(User, 1);
          return traced('inside', () => queue.add('inside', { user: found }));
        }),
      ],
    ]);
    await until(() => seen.size === 2);
    expect(seen).toEqual(expected);
    await close();
    await provider.forceFlush();
    const spans = exporter.getFinishedSpans();
    expect(spans.map((span) => span.name)).toEqual(expect.arrayContaining([`add ${queue.name}.inside`]));
    expect(JSON.stringify(spans.map(({ attributes, events }) => [attributes, events]))).not.toMatch(SECRETS);
  });
});
