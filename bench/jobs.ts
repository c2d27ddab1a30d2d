/** Jobs through pg-boss, from enqueueing to the last one done: by reference, and with ids and finds written by hand. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type MikroORM, RequestContext } from '@mikro-orm/core';
import type { EntitySerializer, ReviveTrace } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { Tasks } from 'mikro-orm-byref/tasks';
import { PgBoss } from 'pg-boss';
import { Post, User } from '../fixtures/domain.ts';
import { race, type Race } from './measure.ts';

const JOBS = 1_000;
const WORKERS = 4;
const POLLING = { pollingIntervalSeconds: 0.5 };

export interface JobRaces {
  /** `reference` against `ids`. */
  readonly jobs: Race;
  /** Queries that reviving a batch of 100 such jobs took. */
  readonly batchQueries: number;
}

export async function benchJobs(serializer: EntitySerializer, orm: MikroORM, url: string): Promise<JobRaces> {
  const boss = await new PgBoss({ connectionString: url, supervise: false, schedule: false, max: 10 }).start();
  const tasks = new Tasks(serializer, pgBossEngine(boss, POLLING));
  try {
    const contenders = [await byReference(tasks, orm), await byIds(boss, orm)];
    await tasks.work();
    const jobs = await race(contenders, 15, { warmUp: 1 });
    return { jobs, batchQueries: await batch(serializer, orm, boss) };
  } finally {
    await boss.stop({ graceful: false });
  }
}

/** Counts jobs done, and resolves at the last one. */
function counter(): { done(): void; all(): Promise<void> } {
  let left = 0;
  let finish = (): void => undefined;
  return {
    done: () => void (--left === 0 && finish()),
    all: () =>
      new Promise((resolve) => {
        left = JOBS;
        finish = resolve;
      }),
  };
}

const ids = Array.from({ length: JOBS }, (_, index) => index + 1);

async function byReference(tasks: Tasks, orm: MikroORM) {
  const { done, all } = counter();
  const task = tasks.define(
    'bench-reference',
    async ({ user, post }: { user: User; post: Post }) => {
      if (user.email === undefined || post.title === undefined) throw new Error('Not loaded.');
      done();
    },
    { concurrency: WORKERS },
  );
  return {
    name: 'reference',
    async run() {
      const finished = all();
      const em = orm.em.fork();
      await task.bulk(ids.map((id) => ({ user: em.getReference(User, id), post: em.getReference(Post, id) })));
      await finished;
    },
  };
}

/** What a careful person writes: the same queue, workers and request contexts, and a find per model and job. */
async function byIds(boss: PgBoss, orm: MikroORM) {
  const { done, all } = counter();
  const queue = 'bench-ids';
  await boss.createQueue(queue, { policy: 'short' });
  for (let worker = 0; worker < WORKERS; worker++) {
    const options = { ...POLLING, perJobResults: true, includeMetadata: true } as const;
    const id: string = await boss.work<{ userId: number; postId: number }>(queue, options, async ([job]) => {
      boss.notifyWorker(id);
      await RequestContext.create(orm.em, async () => {
        const em = RequestContext.getEntityManager()!;
        const user = await em.findOneOrFail(User, job!.data.userId);
        const post = await em.findOneOrFail(Post, job!.data.postId);
        if (user.email === undefined || post.title === undefined) throw new Error('Not loaded.');
        em.clear();
      });
      done();
      return [{ id: job!.id, status: 'completed' }];
    });
  }
  return {
    name: 'ids',
    async run() {
      const finished = all();
      const retries = { retryLimit: 5, retryDelay: 1, retryBackoff: true };
      const jobs = ids.map((id) => ({
        id: crypto.randomUUID(),
        data: { userId: id, postId: id, enqueuedAt: new Date().toISOString() },
        singletonKey: crypto.randomUUID(),
        ...retries,
      }));
      await boss.insert(queue, jobs, { returnId: true });
      await finished;
    },
  };
}

async function batch(serializer: EntitySerializer, orm: MikroORM, boss: PgBoss): Promise<number> {
  const tasks = new Tasks(serializer, pgBossEngine(boss, POLLING));
  const { promise, resolve } = Promise.withResolvers<number>();
  const task = tasks.define(
    'bench-batch',
    async (list: { user: User; post: Post }[]) => {
      resolve(list.length);
    },
    { batch: 100 },
  );
  const em = orm.em.fork();
  await task.bulk(
    ids.slice(0, 100).map((id) => ({ user: em.getReference(User, id), post: em.getReference(Post, id) })),
  );
  let queries = 0;
  const listen = (trace: unknown): void => void (queries += (trace as ReviveTrace).report!.queries);
  subscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
  await tasks.work();
  if ((await promise) !== 100) throw new Error('Expected one batch.');
  unsubscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
  await tasks.stop();
  return queries;
}
