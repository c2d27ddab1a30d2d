/** What jobs and caches do at each end of a transaction, the unknown one among them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { afterCommit, EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine, ByReferenceQueue } from 'mikro-orm-byref/bullmq';
import { EntityCache } from 'mikro-orm-byref/cache';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Engine, inlineEngine, type JobHandle, type Task, Tasks } from 'mikro-orm-byref/tasks';
import { PgBoss } from 'pg-boss';
import { domain, User } from '../../fixtures/domain.ts';
import { inMemory, redisUrl } from '../support/bento.ts';
import { queueName as name, until } from '../support/jobs.ts';
import { openProxied, type Proxied } from '../support/proxied.ts';

let proxied: Proxied;
let orm: MikroORM;
let serializer: EntitySerializer;
const started: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  proxied = await openProxied(domain);
});
afterAll(() => proxied.close());
beforeEach(async () => {
  proxied.proxy.commitAnswer = 'pass';
  await proxied.execute('delete from "user"');
  await proxied.execute(`insert into "user" (id, name, email, version, updated_at) values (1, 'old', '', 1, now())`);
  orm = proxied.openOrm();
  serializer = new EntitySerializer(orm);
});
afterEach(async () => {
  for (const stop of started.splice(0)) await stop();
  await proxied.closeOrms();
});

/** How a transaction ends. */
const ends: Record<string, (em: EntityManager) => Promise<void>> = {
  committed: async () => {},
  'rolled back': async () => {
    throw new Error('on purpose');
  },
  'unknown, and committed': async () => {
    proxied.proxy.commitAnswer = 'lose';
  },
  'unknown, and not committed': async (em) => {
    const [{ pid }] = (await em.execute('select pg_backend_pid() as pid')) as [{ pid: number }];
    await proxied.execute(`select pg_terminate_backend(${pid})`);
    await sleep(50);
  },
};

/** Ends a transaction that creates a user with id 2, renames the first one, and does something. */
async function run<Result>(end: string, work: (em: EntityManager, created: User) => Promise<Result>): Promise<Result> {
  let result: Result;
  const ended = orm.em.fork().transactional(async (em) => {
    const created = em.create(User, { id: 2, name: 'created', email: '' });
    (await em.findOneOrFail(User, 1)).name = 'new';
    await em.flush();
    result = await work(em, created);
    await ends[end]!(em);
  });
  await ended.then(
    () => undefined,
    () => undefined,
  );
  proxied.proxy.commitAnswer = 'pass';
  return result!;
}

const settled = (handle: JobHandle<unknown>): Promise<unknown> =>
  Promise.race([
    handle.enqueued.then(
      () => 'enqueued',
      (error: { code: string; retryable: boolean }) => `${error.code}, ${error.retryable}`,
    ),
    sleep(60_000, 'never settled', { ref: false }),
  ]);

const enqueuedAt: [end: string, enqueued: string, hasJob: boolean][] = [
  ['committed', 'enqueued', true],
  ['rolled back', 'E_ROLLED_BACK, true', false],
  ['unknown, and committed', 'E_COMMIT_UNKNOWN, true', true],
  ['unknown, and not committed', 'E_COMMIT_UNKNOWN, true', true],
];

const engines: [name: string, make: () => Engine][] = [
  ['inline', inlineEngine],
  ...(redisUrl === undefined ? [] : [['BullMQ on Redis', () => onRedis()] satisfies [string, () => Engine]]),
];

const connection = (): { host: string; port: number } => {
  const { hostname, port } = new URL(redisUrl!);
  return { host: hostname, port: Number(port) };
};
const onRedis = (): Engine => bullmqEngine({ connection: connection() });

/** A task that finds out whether its row is there. */
function taskOn(engine: Engine): { task: Task<{ user: User }, string>; tasks: Tasks } {
  const tasks = new Tasks(serializer, engine);
  started.push(() => tasks.stop());
  const options = { retryMissingForMs: 0 };
  return { task: tasks.define(name(), async ({ user }: { user: User }) => `found ${user.name}`, options), tasks };
}

describe.each(engines)('a task on an engine elsewhere: %s', (_, make) => {
  test.each(enqueuedAt)('%s', async (end, enqueued, hasJob) => {
    const { task, tasks } = taskOn(make());
    const handle = await run(end, (em, user) => task.delay({ user }, { em }));
    expect([await settled(handle), (await handle.state()) !== undefined]).toEqual([enqueued, hasJob]);
    if (!hasJob) return;
    await tasks.work();
    // A job of a row that is not there ends by itself.
    const isThere = end !== 'unknown, and not committed';
    await until(async () => ['completed', 'failed'].includes((await handle.state())!));
    expect(await handle.state()).toBe(isThere ? 'completed' : 'failed');
  });
});

test('enqueued says what the engine failed with, at an unknown end too', async () => {
  const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const engine = Object.assign(inlineEngine(), {
    enqueue: async () => {
      throw new Error('the engine is down');
    },
  });
  const { task } = taskOn(engine);
  for (const end of ['committed', 'unknown, and committed']) {
    const handle = await run(end, (em) => task.delay({ user: em.getReference(User, 1) }, { em }));
    await expect(handle.enqueued).rejects.toThrow('the engine is down');
    await proxied.execute('delete from "user" where id = 2');
  }
  expect(warned).toHaveBeenCalledTimes(2);
  warned.mockRestore();
});

test.each(Object.keys(ends))('a job in the database of its rows is there where they are: %s', async (end) => {
  const boss = new PgBoss({ connectionString: proxied.database.url, supervise: false, schedule: false });
  await boss.start();
  started.push(() => boss.stop({ graceful: false }));
  const { task } = taskOn(pgBossEngine(boss));
  const queues = new Tasks(serializer, pgBossEngine(boss));
  started.push(() => queues.stop());
  // The queue is made before, by a connection of its own.
  await task.delay({ user: orm.em.fork().getReference(User, 1) });
  const handle = await run(end, (em, user) => task.delay({ user }, { em }));
  expect(await settled(handle)).toBe('enqueued');
  const [{ rows }] = (await proxied.execute('select count(*)::int as rows from "user" where id = 2')) as [
    { rows: number },
  ];
  expect((await handle.state()) !== undefined).toBe(rows === 1);
});

if (redisUrl !== undefined) {
  describe('BullMQ’s own queue by reference', () => {
    test.each(enqueuedAt)('%s', async (end, _, hasJob) => {
      const queue = new ByReferenceQueue(name(), { connection: connection(), serializer });
      started.push(() => queue.close());
      const job = await run(end, (_em, user) => queue.add('found', { user }));
      if (hasJob) await until(async () => (await queue.getJob(job.id!)) !== undefined);
      await sleep(100);
      expect((await queue.getJob(job.id!)) !== undefined).toBe(hasJob);
    });
  });
}

describe('EntityCache', () => {
  const made = async (cache: EntityCache, key: string, options: object): Promise<boolean> => {
    let isMade = false;
    const factory = () => {
      isMade = true;
      return 'value';
    };
    await cache.getOrSet({ key, ttlMs: 60_000, em: orm.em.fork(), factory, ...options });
    return isMade;
  };

  test.each(enqueuedAt)('what a flush wrote: %s', async (end, _, isStale) => {
    const cache = new EntityCache(serializer, inMemory(), { singleProcess: true });
    const options = { dependsOn: [User] };
    expect([await made(cache, 'a', options), await made(cache, 'a', options)]).toEqual([true, false]);
    await run(end, async () => {});
    expect(await made(cache, 'a', options)).toBe(isStale);
  });

  test('what a flush wrote in a transaction of its own, whose COMMIT was not answered', async () => {
    const cache = new EntityCache(serializer, inMemory(), { singleProcess: true });
    const options = { dependsOn: [User] };
    expect([await made(cache, 'a', options), await made(cache, 'a', options)]).toEqual([true, false]);
    const em = orm.em.fork();
    (await em.findOneOrFail(User, 1)).name = 'new';
    proxied.proxy.commitAnswer = 'lose';
    await expect(em.flush()).rejects.toThrow();
    proxied.proxy.commitAnswer = 'pass';
    expect(await made(cache, 'a', options)).toBe(true);
  });

  test.each(enqueuedAt)('what was touched: %s', async (end, _, isStale) => {
    const cache = new EntityCache(serializer, inMemory(), { singleProcess: true });
    let calls = 0;
    const get = () =>
      cache.getOrSet({
        key: 'row',
        ttlMs: 60_000,
        em: orm.em.fork(),
        factory: (em) => {
          calls++;
          return em.findOneOrFail(User, 1);
        },
      });
    await get();
    await orm.em
      .fork()
      .transactional(async (em) => {
        await cache.touch(User, { id: 1 }, { em });
        await ends[end]!(em);
      })
      .catch(() => {});
    proxied.proxy.commitAnswer = 'pass';
    await sleep(20);
    await get();
    expect(calls).toBe(isStale ? 2 : 1);
  });

  test('what was made in a transaction is stored only where it is known to be committed', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const end of Object.keys(ends)) {
      const cache = new EntityCache(serializer, inMemory(), { singleProcess: true });
      await orm.em
        .fork()
        .transactional(async (em) => {
          await made(cache, 'a', { em });
          await ends[end]!(em);
        })
        .catch(() => {});
      proxied.proxy.commitAnswer = 'pass';
      await sleep(20);
      expect([end, await made(cache, 'a', {})]).toEqual([end, end !== 'committed']);
    }
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });
});

describe('without onUnknown', () => {
  const lose = async (options: Parameters<typeof afterCommit>[2]): Promise<void> => {
    await run('unknown, and committed', async (em) => afterCommit(em, () => {}, options));
    await sleep(20);
  };

  test('onError is told of the unknown end', async () => {
    const errors: unknown[] = [];
    await lose({ onError: (error) => errors.push(error) });
    expect(errors).toEqual([expect.objectContaining({ code: 'E_COMMIT_UNKNOWN', cause: expect.any(Error) })]);
  });

  test('by default it is a process warning, as is what onError throws', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await lose({});
    await proxied.execute('delete from "user" where id = 2');
    await lose({
      onError: () => {
        throw new Error('the reporter is broken');
      },
    });
    expect(warned.mock.calls).toEqual([
      [expect.stringContaining('Nobody can tell'), 'ByReferenceWarning'],
      [expect.stringContaining('the reporter is broken'), 'ByReferenceWarning'],
    ]);
    warned.mockRestore();
  });
});

test('what onRollback and onUnknown throw goes to onError, and the transaction fails with its own error', async () => {
  const errors: string[] = [];
  const onError = (error: unknown): void => void errors.push((error as Error).message);
  const failing = {
    onError,
    onRollback: async () => {
      throw new Error('by onRollback');
    },
    onUnknown: () => {
      throw new Error('by onUnknown');
    },
  };
  for (const end of ['rolled back', 'unknown, and committed']) {
    await run(end, async (em) => afterCommit(em, () => {}, failing));
  }
  await sleep(20);
  expect(errors).toEqual(['by onRollback', 'by onUnknown']);
});

test('the global EntityManager in them is not that of the transaction', async () => {
  const seen: Promise<number>[] = [];
  const count = (): void => void seen.push(orm.em.count(User));
  for (const end of Object.keys(ends).slice(0, 3)) {
    await run(end, async (em) => afterCommit(em, count, { onRollback: count, onUnknown: count }));
    await Promise.all(seen);
    await proxied.execute('delete from "user" where id = 2');
  }
  expect(await Promise.all(seen)).toEqual([2, 1, 2]);
});
