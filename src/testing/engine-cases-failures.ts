import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ByReferenceError } from '../errors.ts';
import { completesInTransaction, type JobFailure } from '../tasks/engine.ts';
import { DiscardJobError, RetryJobError } from '../tasks/job-errors.ts';
import { Account, Effect, type EngineCases, fast, judging, name, queueOf } from './engine-context.ts';

/** What fails, and what becomes of it. */
export const failures: EngineCases = {
  async 'a missing row: the job is discarded without a retry, and says so'(context) {
    const tasks = context.tasks();
    let runs = 0;
    const task = tasks.define(name(), async (_args: { account: Account }) => void runs++, {
      retryMissingForMs: 0,
      retries: fast,
    });
    const em = context.orm.em.fork();
    const account = await context.account('x', em);
    const handle = await task.delay({ account });
    await context.orm.em.fork().nativeDelete(Account, account.id);
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'failed', attempt: 1 });
    assert.equal(runs, 0);
    await assert.rejects(handle.result(), /E_ENTITY_NOT_FOUND|no such row/);
  },

  async 'a missing row with missing: null runs'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async ({ account }: { account: Account | null }) => account === null, {
      missing: 'null',
    });
    const account = await context.account();
    const handle = await task.delay({ account });
    await context.orm.em.fork().nativeDelete(Account, account.id);
    await tasks.work();
    await context.end(handle);
    assert.equal(await handle.result(), true);
  },

  async 'a row that is not there yet: the job is retried until it is'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async ({ account }: { account: Account }) => account.email, {
      retryMissingForMs: 60_000,
      retries: { ...fast, limit: 50 },
    });
    const id = (await context.account()).id;
    const account = context.orm.em.fork().getReference(Account, id);
    await context.orm.em.fork().nativeDelete(Account, id);
    await tasks.work();
    const handle = await task.delay({ account });
    // When the second attempt has begun, the first has found no row.
    await context.until(async () => (await handle.attempt()) >= 2);
    await context.orm.em.fork().insert(Account, { id, email: 'late@example.org' });
    assert.equal((await context.end(handle)).state, 'completed');
    assert.ok((await handle.attempt()) > 1);
    assert.equal(await handle.result(), 'late@example.org');
  },

  async 'a failed job is retried with its original data, although the handler changed its arguments'(context) {
    const tasks = context.tasks();
    const seen: unknown[] = [];
    const task = tasks.define(
      name(),
      async (args: { list: number[]; account: Account }, job) => {
        seen.push({ list: [...args.list], email: args.account.email });
        args.list.push(99);
        args.account.email = 'changed in memory';
        if (job.attempt < 3) throw new Error('failed on purpose');
        return job.attempt;
      },
      { retries: fast },
    );
    const handle = await task.delay({ list: [1], account: await context.account('kept') });
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 3 });
    const original = { list: [1], email: 'kept' };
    assert.deepEqual(seen, [original, original, original]);
    assert.equal(await handle.result(), 3);
  },

  async 'a job that always fails ends failed after its retries'(context) {
    const tasks = context.tasks();
    let runs = 0;
    const task = tasks.define(
      name(),
      async () => {
        runs++;
        throw new Error('failed on purpose');
      },
      { retries: { ...fast, limit: 2 } },
    );
    const handle = await task.delay({});
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'failed', attempt: 3 });
    assert.equal(runs, 3);
    await assert.rejects(handle.result(), /failed on purpose/);
  },

  async 'a database that refuses while a job is revived: no attempt is used up, and no row counts as missing'(context) {
    const statuses: string[] = [];
    const tasks = context.tasks(
      {},
      judging(context.engine, ({ status }) => void statuses.push(status)),
    );
    const limit = context.postpones ? 0 : 50;
    const task = tasks.define(name(), async ({ account }: { account: Account }, job) => [account.email, job.attempt], {
      retryMissingForMs: 0,
      retries: { ...fast, limit },
    });
    const handle = await task.delay({ account: await context.account('back@example.org') });
    const run = (sql: string): Promise<unknown> => context.orm.em.fork().getConnection().execute(sql);
    await run('alter table byref_contract_account rename to byref_contract_gone');
    try {
      await tasks.work();
      await context.until(() => statuses.length >= 2);
      assert.deepEqual(new Set(statuses), new Set(['postpone']));
      assert.notEqual(await handle.state(), 'failed');
    } finally {
      await run('alter table byref_contract_gone rename to byref_contract_account');
    }
    const { state, attempt } = await context.end(handle);
    assert.equal(state, 'completed');
    assert.deepEqual(await handle.result(), ['back@example.org', attempt]);
    if (context.postpones) assert.equal(attempt, 1);
  },

  async 'an unknown model is discarded, or retried where the serializer says so'(context) {
    for (const [unknownModel, attempt] of [
      ['permanent', 1],
      ['retryable', 2],
    ] as const) {
      const tasks = context.tasks({ unknownModel });
      const queue = name();
      const task = tasks.define(queue, async () => 'ran', { retries: { ...fast, limit: 1 } });
      const job = { id: randomUUID(), queue: { ...queueOf(queue), retries: { ...fast, limit: 1 } } };
      const data = { $byref: 1, data: { $entity: ['contract.Nobody', 1] } };
      await context.engine.enqueue([{ ...job, data, delayMs: 0, priority: 0, dedupeKey: undefined }], undefined);
      await tasks.work();
      assert.deepEqual(await context.end(task.handle(job.id)), { state: 'failed', attempt });
    }
  },

  async 'a failure is unread where no handler was called, and only there'(context) {
    const tasks = context.tasks();
    const queue = name();
    const settings = { queue, retries: { ...fast, limit: 0 } };
    const task = tasks.define(
      name(),
      async () => {
        throw ByReferenceError.unsupported('This', 'take another one');
      },
      settings,
    );
    const [inside, unknown] = [await task.delay({}), await context.tasks().declare(name(), settings).delay({})];
    await tasks.work();
    const failures = [];
    for (const handle of [inside, unknown]) {
      assert.equal((await context.end(handle)).state, 'failed');
      const { output } = (await context.engine.find({ ...queueOf(queue), ...settings }, handle.id))!;
      const { code, unread } = output as JobFailure;
      failures.push([code, unread]);
    }
    assert.deepEqual(failures, [
      ['E_UNSUPPORTED', undefined],
      ['E_UNKNOWN_TASK', true],
    ]);
  },

  async 'requeue: a failed job is put back once, and run again'(context) {
    const { engine } = context;
    if (engine.requeue === undefined) return;
    const settings = { queue: name(), retries: { ...fast, limit: 1 } };
    const [before, after] = [context.tasks(), context.tasks()];
    before.define(name(), async () => undefined, settings);
    let runs = 0;
    const task = after.define(name(), async () => void runs++, settings);
    const handle = await task.delay({});
    await before.work();
    assert.equal((await context.end(handle)).state, 'failed');
    await before.stop();
    const put = (...ids: string[]): Promise<number> => engine.requeue!(settings.queue, ids);
    const counts = await Promise.all([put(handle.id), put(handle.id, randomUUID())]);
    assert.equal(counts[0]! + counts[1]!, 1);
    assert.equal(await handle.state(), 'waiting');
    await after.work();
    assert.equal((await context.end(handle)).state, 'completed');
    assert.equal(runs, 1);
    assert.equal(await put(handle.id), 0);
  },

  async 'every failed attempt is told of, and whether it was the last'(context) {
    const { tasks, reports } = context.telling();
    const queue = name();
    const account = await context.account();
    const task = tasks.define(
      queue,
      async (_args: { account: Account }) => {
        throw new Error('failed on purpose');
      },
      { retries: { ...fast, limit: 1 } },
    );
    await tasks.work();
    const handle = await task.delay({ account });
    assert.equal((await context.end(handle)).state, 'failed');
    assert.deepEqual(
      reports.map(({ attempt, final }) => ({ attempt, final })),
      [
        { attempt: 1, final: false },
        { attempt: 2, final: true },
      ],
    );
    for (const { task: named, queue: where, id, tokens, error } of reports) {
      assert.deepEqual([named, where, id, (error as Error).message], [queue, queue, handle.id, 'failed on purpose']);
      assert.deepEqual(
        tokens.map(({ model, primaryKey }) => [model, primaryKey]),
        [['contract.Account', account.id]],
      );
    }
  },

  async 'DiscardJobError: no attempt follows; RetryJobError: the next one follows when it says'(context) {
    const { tasks, reports } = context.telling();
    const discarded = tasks.define(
      name(),
      async () => {
        throw new DiscardJobError('of no use');
      },
      { retries: fast },
    );
    const startedAt: number[] = [];
    const retried = tasks.define(
      name(),
      async () => {
        startedAt.push(performance.now());
        if (startedAt.length === 1) throw new RetryJobError({ delayMs: 0, message: 'busy' });
      },
      { retries: { limit: 1, delayMs: 60_000, backoff: false } },
    );
    await tasks.work();
    const first = await discarded.delay({});
    assert.deepEqual(await context.end(first), { state: 'failed', attempt: 1 });
    await assert.rejects(first.result(), /of no use/);
    assert.deepEqual(await context.end(await retried.delay({})), { state: 'completed', attempt: 2 });
    assert.deepEqual(
      reports.map(({ final, error }) => [final, (error as Error).message]),
      [
        [true, 'of no use'],
        [false, 'busy'],
      ],
    );
  },

  async 'a result that can’t be kept is told of, and its job is completed'(context) {
    const { tasks, reports } = context.telling();
    const queue = name();
    const options = { retries: fast, transactional: completesInTransaction(context.engine) };
    const task = tasks.define(
      queue,
      async (_args: unknown, job) => {
        job.em.create(Effect, { id: Math.floor(Math.random() * 2 ** 31), note: queue });
        await job.em.flush();
        return { unsayable: () => 1 };
      },
      options,
    );
    const silent = tasks.define(name(), async () => ({ unsayable: () => 1 }), { retries: fast, result: false });
    await tasks.work();
    const handle = await task.delay({});
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 1 });
    assert.deepEqual(await context.end(await silent.delay({})), { state: 'completed', attempt: 1 });
    assert.equal(await handle.result(), undefined);
    assert.equal(await context.effects(queue), 1);
    assert.deepEqual(
      reports.map(({ id, final, error }) => [id, final, (error as { code?: string }).code]),
      [[handle.id, false, 'E_UNSERIALIZABLE']],
    );
  },
};
