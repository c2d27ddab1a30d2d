/** Compiled, never run: the classes are typed as BullMQ's own, and pg's pool and Tasks fit. */
import type * as bullmq from 'bullmq';
import { createPostgresBackend, type Job, Queue, Worker } from 'bullmq';
import type { Pool } from 'pg';
import type * as types from 'mikro-orm-byref/bullmq';
import {
  bullmqEngine,
  byReference,
  ByReferenceQueue,
  byReferenceProcessor,
  ByReferenceWorker,
} from 'mikro-orm-byref/bullmq';
import type { Engine, Tasks } from 'mikro-orm-byref/tasks';
import type { User } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const serializer: ConstructorParameters<typeof Tasks>[0];
declare const pool: Pool;
declare const user: User;
const connection = { host: 'localhost' };

// Data, results and names as BullMQ types them.
{
  const { Queue: BoundQueue, Worker: BoundWorker, FlowProducer } = byReference(serializer, { missing: 'null' });
  const queue = new BoundQueue<{ user: User }, number, 'mail'>('q', { connection });
  const given: Queue<{ user: User }, number, 'mail'> = queue;
  expectType<Job<{ user: User }, number, 'mail'>>()(await given.add('mail', { user }), true);
  expectType<Job<{ user: User }, number, 'mail'>>()(await queue.add('mail', { user }), true);
  // @ts-expect-error other data
  await queue.add('mail', { user: 1 });
  // @ts-expect-error no such name
  await queue.add('post', { user });
  const worker = new BoundWorker<{ user: User }, number>(
    'q',
    async (job) => {
      expectType<User>()(job.data.user, true);
      return job.data.user.id;
    },
    { connection, concurrency: 2 },
  );
  const plain: Worker<{ user: User }, number> = worker;
  plain.on('completed', (_job, result) => expectType<number>()(result, true));
  await new FlowProducer({ connection }).add({ name: 'a', queueName: 'b', children: [] });
  // @ts-expect-error no such option
  byReference(serializer, { mising: 'null' });
}

// As types: those of a module of the application's own, and ours, which are the classes' own and BullMQ's.
{
  const { Queue, Worker, FlowProducer } = byReference(serializer);
  type Queue<Data, Result = unknown> = InstanceType<typeof Queue<Data, Result>>;
  const queue: Queue<{ user: User }, number> = new Queue<{ user: User }, number>('q', { connection });
  const given: types.Queue<{ user: User }, number> = queue;
  const worker: types.Worker<{ user: User }, number> = new Worker<{ user: User }, number>('q', null, { connection });
  const flows: types.FlowProducer = new FlowProducer({ connection });
  expectType<types.Job<{ user: User }, number>>()(await given.add('mail', { user }), true);
  expectType<User | undefined>()((await given.getJob('1'))?.data.user, true);
  const plain: bullmq.Queue<{ user: User }, number> = given;
  void [worker, flows, plain];
}

// Without types of their own, as BullMQ's: anything.
{
  const queue = new ByReferenceQueue('q', { connection, serializer });
  await queue.add('anything', { user });
  void new ByReferenceWorker('q', async (job) => void job.data.anything, { connection, serializer });
  // @ts-expect-error the serializer is missing
  void new ByReferenceQueue('q', { connection });
}

// The PostgreSQL backend, and the engine.
{
  void new ByReferenceQueue('q', { connection: pool, serializer }, createPostgresBackend);
  expectType<Engine>()(bullmqEngine({ connection: pool, backend: createPostgresBackend }), true);
  expectType<Engine>()(bullmqEngine({ connection, queue: { prefix: 'p' }, worker: { lockDuration: 1 } }), true);
}

// A sandboxed processor.
byReferenceProcessor(serializer, async (job: Job<{ user: User }>, _token, signal) => {
  expectType<AbortSignal | undefined>()(signal, true);
  return job.data.user.id;
});
