/** Databases that go away while jobs wait: no job is lost for that, nor any of its attempts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { MikroORM } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine, byReference } from 'mikro-orm-byref/bullmq';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { type JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { Door } from '../support/door.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName as name, until } from '../support/jobs.ts';

let database: TestOrm;
let door: Door;
/** Through the door. */
let orm: MikroORM;
let serializer: EntitySerializer;
const started: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  database = await openDatabase(domain);
  const em = database.orm.em.fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.flush();
});
afterAll(() => database.close());
beforeEach(async () => {
  door = await Door.before(database.url);
  orm = makeOrm({ clientUrl: door.url, entities: domain });
  serializer = new EntitySerializer(orm);
});
afterEach(async () => {
  for (const stop of started.splice(0)) await stop();
  await Promise.race([orm.close(true), sleep(500)]);
  await door.shut().catch(() => undefined);
});

const ann = (): User => database.orm.em.fork().getReference(User, 1);

/** Between two looks at the database, which use up no attempt. */
const waits = (handle: JobHandle<string>): Promise<void> =>
  until(async () => (await handle.state()) === 'waiting' && (await handle.attempt()) === 0);

/** How a job with a single attempt ends that waits while the database is away. */
async function endOf(handle: JobHandle<string>): Promise<readonly unknown[]> {
  await until(async () => ['completed', 'failed'].includes((await handle.state())!));
  return [await handle.state(), await handle.attempt(), await handle.result({ em: orm.em.fork() })];
}

describeStores('BullMQ', ({ name: kind, open }) => {
  let store: Store;
  beforeAll(async () => {
    store = await open(database.url);
  });
  afterAll(() => store.close());

  const engine = () =>
    bullmqEngine({ connection: store.connection, ...(store.backend[0] && { backend: store.backend[0] }) });

  const transactional = kind === 'PostgreSQL' ? [false, true] : [false];
  test.each(transactional)('a task of one attempt outlives the rows’ database, transactional: %s', async (isPart) => {
    const tasks = new Tasks(serializer, engine());
    started.push(() => tasks.stop());
    const seen: number[] = [];
    const task = tasks.define(
      name(),
      async ({ user }: { user: User }, job) => {
        seen.push(job.attempt);
        return user.name;
      },
      { retries: { limit: 0 }, transactional: isPart },
    );
    await door.shut();
    const handle = await task.delay({ user: ann() });
    await tasks.work();
    await sleep(3_500);
    await waits(handle);
    expect(seen).toEqual([]);
    await door.open();
    expect(await endOf(handle)).toEqual(['completed', 1, 'Ann']);
    expect(seen).toEqual([1]);
  });

  test('a job of BullMQ’s own, which has one attempt unless told otherwise, outlives it too', async () => {
    const { Queue, Worker } = byReference(serializer);
    const options = { connection: store.connection };
    const queue = new Queue(name(), options, ...store.backend);
    const seen: unknown[] = [];
    const process = async (job: { data: { user: User } }): Promise<void> => void seen.push(job.data.user.name);
    await door.shut();
    const { id } = await queue.add('mail', { user: ann() });
    const worker = new Worker(queue.name, process, options, ...store.backend);
    started.push(
      () => worker.close(),
      () => queue.close(),
    );
    await sleep(3_500);
    await until(async () => (await queue.getJobState(id!)) === 'delayed');
    expect(seen).toEqual([]);
    await door.open();
    await until(async () => (await queue.getJobState(id!)) === 'completed');
    expect([(await queue.getJob(id!))!.attemptsMade, seen]).toEqual([1, ['Ann']]);
  });
});

describe('an engine in the database that goes away', () => {
  test('graphile-worker: a job of one attempt whose rows can’t be read has it back', async () => {
    const tasks = new Tasks(serializer, graphileWorkerEngine(runnerOptions(database.url)));
    started.push(() => tasks.stop());
    const task = tasks.define(name(), async ({ user }: { user: User }) => user.name, { retries: { limit: 0 } });
    await door.shut();
    const handle = await task.delay({ user: ann() });
    await tasks.work();
    await sleep(3_000);
    await waits(handle);
    await door.open();
    expect(await endOf(handle)).toEqual(['completed', 1, 'Ann']);
  });
});
