/** Compiled, never run: the classes are typed as BullMQ's own, and pg's pool and Tasks fit. */
import { createPostgresBackend, type Job, Queue, Worker } from 'bullmq';
import type { Pool } from 'pg';
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
