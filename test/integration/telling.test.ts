/** Nothing that fails in a worker is silent: lines, `onError`, tracing channels, warnings. */
import { tracingChannel } from 'node:diagnostics_channel';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import {
  DiscardJobError,
  type ErrorReport,
  inlineEngine,
  type JobTrace,
  Tasks,
  type TasksOptions,
} from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { queueName as name, until } from '../support/jobs.ts';
import { warningsOf } from '../support/warnings.ts';

const lines: string[] = [];
let database: TestOrm;
let serializer: EntitySerializer;
const fork = (): EntityManager => database.orm.em.fork();
const once = { limit: 0, delayMs: 0, backoff: false } as const;

const tasksOn = (options: TasksOptions = {}, engine = inlineEngine()): Tasks => new Tasks(serializer, engine, options);

beforeAll(async () => {
  database = await openDatabase(domain, { debug: false, colors: false, logger: (line) => void lines.push(line) });
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  lines.length = 0;
  await database.orm.em.getConnection().execute('truncate "user" cascade');
  const em = fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.flush();
});

describe('what failed is told', () => {
  test('by a line of MikroORM’s logger, although debug is off: job, task, attempt and rows, and no row’s data', async () => {
    const tasks = tasksOn();
    const task = tasks.define(
      'send-mail',
      async ({ user }: { user: User }) => {
        await user.posts.loadItems();
        await fork().getConnection().execute(`insert into "user" (id, name) values (1, 'hunter2')`);
      },
      { retries: once },
    );
    await tasks.work();
    const handle = await task.delay({ user: fork().getReference(User, 1) });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`Job ${handle.id} of task "send-mail", attempt 1, failed for good: `);
    expect(lines[0]).toContain('It is about ["User",1].');
    expect(lines[0]).not.toMatch(/hunter2|ann@example/);
  });

  test('with the page that says what to do, where the library has refused the job', async () => {
    const tasks = tasksOn();
    const options = { retries: once, retryMissingForMs: 0 };
    const task = tasks.define('of-one-gone', async ({ user }: { user: User }) => user.id, options);
    await tasks.work();
    await task.delay({ user: fork().getReference(User, 99) });
    expect(lines).toEqual([
      expect.stringMatching(/ See mikro-orm-byref\/docs\/operations\/troubleshooting\.md#e_entity_not_found$/),
    ]);
  });

  test('to onError instead, whatever it throws itself', async () => {
    const reports: ErrorReport[] = [];
    const failing = new Error('on purpose');
    const warnings = await warningsOf(async () => {
      for (const onError of [
        (report: ErrorReport): void => {
          reports.push(report);
          throw new Error('onError is broken');
        },
        async (report: ErrorReport): Promise<void> => {
          reports.push(report);
          throw new Error('onError is broken');
        },
      ]) {
        const tasks = tasksOn({ onError });
        const task = tasks.define(
          'fails',
          async () => {
            throw failing;
          },
          { retries: once },
        );
        await tasks.work();
        expect(await (await task.delay({})).state()).toBe('failed');
      }
    });
    expect(reports.map(({ task, error, final }) => [task, error, final])).toEqual([
      ['fails', failing, true],
      ['fails', failing, true],
    ]);
    expect(warnings.map(({ message }) => message)).toEqual([
      'onError failed: onError is broken',
      'onError failed: onError is broken',
    ]);
    expect(lines).toEqual([]);
  });

  test('of a job that nobody could open no row is named, and of an unknown task its name', async () => {
    const reports: ErrorReport[] = [];
    const engine = inlineEngine();
    const tasks = tasksOn({ onError: (report) => void reports.push(report) }, engine);
    const queue = name();
    tasks.define('known', async () => undefined, { queue, retries: once });
    await tasks.work();
    const settings = { name: queue, retries: once, concurrency: 1, batch: 1 };
    const data = { $byref: 1, data: { $entity: ['User', 1] }, task: { name: 'of tomorrow' } };
    const job = { queue: settings, delayMs: 0, priority: 0, dedupeKey: undefined };
    await engine.enqueue([{ ...job, id: 'a', data }], undefined);
    expect(reports).toEqual([
      expect.objectContaining({ task: 'of tomorrow', queue, id: 'a', attempt: 1, final: true }),
    ]);
    expect(reports[0]!.tokens.map(String)).toEqual([serializer.token(fork().getReference(User, 1)).toString()]);
  });
});

describe('tracing', () => {
  test('one trace for each attempt, with what became of it', async () => {
    const events: [string, JobTrace['status'], number][] = [];
    const on = (event: string) => (trace: unknown) => {
      const { status, attempt } = trace as JobTrace;
      events.push([event, status, attempt]);
    };
    const handlers = {
      start: on('start'),
      end: on('end'),
      asyncStart: on('asyncStart'),
      asyncEnd: on('asyncEnd'),
      error: on('error'),
    };
    const channel = tracingChannel('mikro-orm-byref:job');
    channel.subscribe(handlers);
    try {
      const tasks = tasksOn({ onError: () => undefined });
      const task = tasks.define(
        name(),
        async (_args: object, { attempt }) => {
          if (attempt === 1) throw new Error('once');
          throw new DiscardJobError('of no use');
        },
        { retries: { ...once, limit: 1 } },
      );
      await tasks.work();
      const handle = await task.delay({});
      await until(async () => (await handle.state()) === 'failed');
    } finally {
      channel.unsubscribe(handlers);
    }
    const attempt = (number: number, status: JobTrace['status']) => [
      ['start', undefined, number],
      ['end', undefined, number],
      ['error', status, number],
      ['asyncStart', status, number],
      ['asyncEnd', status, number],
    ];
    expect(events).toEqual([...attempt(1, 'retry'), ...attempt(2, 'discard')]);
  });

  test('a batch has one for each of its jobs, nested, so that spans of all are open while it runs', async () => {
    const open = new Set<string>();
    const seen: number[] = [];
    const channel = tracingChannel<unknown, JobTrace>('mikro-orm-byref:job');
    const handlers = {
      start: ({ id }: JobTrace) => void open.add(id),
      asyncEnd: ({ id, status }: JobTrace) => void (status === 'completed' && open.delete(id)),
    };
    channel.subscribe(handlers as never);
    try {
      const tasks = tasksOn();
      const task = tasks.define(name(), async (list: object[]) => void seen.push(open.size, list.length), {
        batch: 10,
      });
      await task.bulk([{}, {}, {}]);
      await tasks.work();
    } finally {
      channel.unsubscribe(handlers as never);
    }
    expect([seen, open.size]).toEqual([[3, 3], 0]);
  });
});

describe('a handler that ends with unflushed changes', () => {
  test('is told of once a task, and never for what was flushed', async () => {
    const tasks = tasksOn();
    const forgets = tasks.define('forgets', async ({ user }: { user: User }, { em }) => {
      user.name = 'changed';
      em.create(User, { id: 2, name: 'Bob', email: 'bob@example.org' });
      em.remove(em.getReference(User, 3));
    });
    const flushes = tasks.define('flushes', async ({ user }: { user: User }, { em }) => {
      user.name = 'changed';
      await em.flush();
    });
    const reads = tasks.define('reads', async ({ user }: { user: User }) => user.posts.loadItems());
    await tasks.work();
    const user = fork().getReference(User, 1);
    const warnings = await warningsOf(async () => {
      for (const task of [forgets, forgets, flushes, reads]) await task.delay({ user });
    });
    expect(warnings).toEqual([
      {
        message:
          'A handler of the task "forgets" has ended with changes that are not flushed (User.name, new User, removed User), and they are lost; have it await em.flush().',
        type: 'ByReferenceWarning',
        code: 'BYREF_UNFLUSHED_CHANGES',
      },
    ]);
  });
});

describe('a job that waits for the commit', () => {
  test('is never enqueued once it was taken back, and others of its transaction are', async () => {
    const tasks = tasksOn();
    const ran: number[] = [];
    const task = tasks.define(name(), async ({ n }: { n: number }) => void ran.push(n));
    await tasks.work();
    const handles = await fork().transactional(async (em) => {
      const own = await task.bulk([{ n: 1 }, { n: 2 }, { n: 3 }], { em });
      expect(await own[1]!.cancel()).toBe(true);
      expect(await own[1]!.cancel()).toBe(true);
      return own;
    });
    await handles[0]!.enqueued;
    expect(ran).toEqual([1, 3]);
    expect(await handles[1]!.state()).toBeUndefined();
    expect(await handles[0]!.cancel()).toBe(false);
  });

  test('of a transaction that was rolled back: nothing to take back', async () => {
    const tasks = tasksOn();
    const task = tasks.define(name(), async () => undefined);
    let handle: Awaited<ReturnType<typeof task.delay>>;
    const transaction = fork().transactional(async (em) => {
      handle = await task.delay({}, { em });
      throw new Error('on purpose');
    });
    await expect(transaction).rejects.toThrow('on purpose');
    await expect(handle!.enqueued).rejects.toMatchObject({ code: 'E_ROLLED_BACK' });
    expect(await handle!.cancel()).toBe(false);
    await expect(handle!.wait()).rejects.toMatchObject({ code: 'E_ROLLED_BACK' });
  });
});

describe('a row that is not there yet', () => {
  test('is waited for by the retries’ own delays, whatever the clocks say and however late the job is due', async () => {
    for (const [retryMissingForMs, attempts] of [
      [0, 1],
      [1, 2],
      [30, 3],
      [31, 4],
    ] as const) {
      const tasks = tasksOn({ onError: () => undefined });
      const task = tasks.define(name(), async (_args: { user: User }) => undefined, {
        retries: { limit: 10, delayMs: 10, backoff: true },
        retryMissingForMs,
      });
      await tasks.work();
      const handle = await task.delay(
        { user: fork().getReference(User, 404) },
        { at: new Date(Date.now() - 3_600_000) },
      );
      await until(async () => (await handle.state()) === 'failed');
      expect([retryMissingForMs, await handle.attempt()]).toEqual([retryMissingForMs, attempts]);
    }
  });
});

test('a context that names a row which is gone: the job is discarded, and told of', async () => {
  const reports: ErrorReport[] = [];
  const tasks = tasksOn({
    onError: (report) => void reports.push(report),
    context: { capture: () => fork().getReference(User, 404), run: (_captured, _em, next) => next() },
  });
  const task = tasks.define(name(), async () => undefined, { retryMissingForMs: 0 });
  await tasks.work();
  const handle = await task.delay({});
  expect(await handle.state()).toBe('failed');
  expect(reports).toEqual([
    expect.objectContaining({ final: true, error: expect.objectContaining({ code: 'E_ENTITY_NOT_FOUND' }) }),
  ]);
});

test('a context that fails after the work is told of, once, and undoes none; what the handler throws is told once', async () => {
  const reports: ErrorReport[] = [];
  const tasks = tasksOn({
    onError: (report) => void reports.push(report),
    context: {
      capture: () => 1,
      async run(_captured, _em, next) {
        await next();
        throw new Error('the tenant is gone');
      },
    },
  });
  const done = tasks.define(name(), async () => 'done');
  const fails = tasks.define(
    name(),
    async () => {
      throw new Error('on purpose');
    },
    { retries: once },
  );
  await tasks.work();
  const [first, second] = [await done.delay({}), await fails.delay({})];
  expect([await first.state(), await second.state()]).toEqual(['completed', 'failed']);
  expect(reports.map(({ id, final, error }) => [id, final, (error as Error).message])).toEqual([
    [first.id, false, 'the tenant is gone'],
    [second.id, true, 'on purpose'],
  ]);
});
