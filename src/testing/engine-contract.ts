import { type EntityManager, EntitySchema, type MikroORM, RequestContext } from '@mikro-orm/core';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { managesAnything } from '../orm/identity-map.ts';
import { EntitySerializer } from '../entity-serializer.ts';
import { ByReference } from '../models/by-reference.ts';
import type { EntitySerializerOptions, ReviveTrace } from '../options.ts';
import type { Engine, NewJob, Outcome, QueueSettings, RunJobs } from '../tasks/engine.ts';
import type { JobFailedError, JobHandle } from '../tasks/job-handle.ts';
import type { ErrorReport } from '../tasks/error-report.ts';
import { DiscardJobError, RetryJobError } from '../tasks/job-errors.ts';
import { Tasks, type TasksOptions } from '../tasks/tasks.ts';
import type { JsonObject } from '../wire/json.ts';

/** What a suite of cases runs on. */
export interface EngineSetup {
  /** An ORM with `contractEntities` and their tables. */
  readonly orm: MikroORM;
  /** A new engine over the same jobs, as another process would have. */
  engine(): Engine | Promise<Engine>;
  /** Whether a job that could not be read for want of the database gets that attempt back. Default: true. */
  readonly postpones?: boolean;
  /** Whether it runs jobs by the clock. Default: true. */
  readonly schedules?: boolean;
  /** Whether jobs can be part of a transaction, and be completed in one. Default: as the engine says. */
  readonly isTransactional?: boolean;
  /** The longest that a job may wait before it is picked up or retried, in milliseconds. Default: 15,000. */
  readonly timeoutMs?: number;
}

/** One case of a contract, for any test runner: `for (const { name, run } of cases) test(name, run)`. */
export interface ContractCase {
  readonly name: string;
  run(): Promise<void>;
}

export class Account {
  declare id: number;
  declare email: string;
}

ByReference({ name: 'contract.Account', aliases: ['contract.User'] })(Account);

/** What a handler has done, to be counted. */
export class Effect {
  declare id: number;
  declare note: string;
}

/** The entities that the cases use. */
export const contractEntities: (EntitySchema<Account> | EntitySchema<Effect>)[] = [
  new EntitySchema<Account>({
    class: Account,
    tableName: 'byref_contract_account',
    properties: { id: { type: 'number', primary: true, autoincrement: false }, email: { type: 'string' } },
  }),
  new EntitySchema<Effect>({
    class: Effect,
    tableName: 'byref_contract_effect',
    properties: { id: { type: 'number', primary: true }, note: { type: 'string' } },
  }),
];

/** What every engine must do, as cases for its tests. */
export function engineContract(setup: () => EngineSetup): readonly ContractCase[] {
  return Object.entries(CASES).map(([name, run]) => ({ name, run: () => inContext(setup(), run) }));
}

class Context {
  readonly orm: MikroORM;
  readonly engine: Engine;
  readonly timeoutMs: number;
  readonly postpones: boolean;
  readonly schedules: boolean;
  readonly #setup: EngineSetup;
  readonly #started: Tasks[] = [];
  #accounts = Math.floor(Math.random() * 1_000_000_000);

  constructor(setup: EngineSetup, engine: Engine) {
    this.#setup = setup;
    this.orm = setup.orm;
    this.engine = engine;
    this.timeoutMs = setup.timeoutMs ?? 15_000;
    this.postpones = setup.postpones ?? true;
    this.schedules = setup.schedules ?? true;
    assert.equal(engine.isTransactional, setup.isTransactional ?? engine.isTransactional);
  }

  tasks(options: EntitySerializerOptions = {}, engine = this.engine, tasksOptions: TasksOptions = {}): Tasks {
    // What fails on purpose is told to nobody.
    const tasks = new Tasks(new EntitySerializer(this.orm, options), engine, { onError: () => {}, ...tasksOptions });
    this.#started.push(tasks);
    return tasks;
  }

  /** Tasks that tell what fails with jobs. */
  telling(): { readonly tasks: Tasks; readonly reports: ErrorReport[] } {
    const reports: ErrorReport[] = [];
    const onError = (report: ErrorReport): void => void (report.id !== undefined && reports.push(report));
    return { tasks: this.tasks({}, this.engine, { onError }), reports };
  }

  otherEngine(): Engine | Promise<Engine> {
    return this.#setup.engine();
  }

  async account(email = 'old@example.org', em: EntityManager = this.orm.em.fork()): Promise<Account> {
    const account = em.create(Account, { id: this.#accounts++, email });
    await em.flush();
    return account;
  }

  /** Waits until a job is over, and says how it ended. */
  async end(handle: JobHandle<unknown>): Promise<{ state: string | undefined; attempt: number }> {
    await handle.enqueued;
    await this.until(async () => ['completed', 'failed'].includes((await handle.state()) ?? ''));
    return { state: await handle.state(), attempt: await handle.attempt() };
  }

  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + this.timeoutMs;
    while (!(await isSo())) {
      assert.ok(Date.now() < deadline, 'it took too long');
      await sleep(50);
    }
  }

  async effects(note: string): Promise<number> {
    return this.orm.em.fork().count(Effect, { note });
  }

  async stop(): Promise<void> {
    for (const tasks of this.#started) await tasks.stop();
  }
}

const name = (): string => `contract-${randomUUID()}`;

const fast = { limit: 4, delayMs: 100, backoff: false } as const;

const queueOf = (queue: string): QueueSettings => ({ name: queue, retries: fast, concurrency: 1, batch: 1 });

/** Enqueues data that no task has encoded, as an older release or another producer would have. */
async function enqueueRaw(engine: Engine, queue: string, data: object): Promise<string> {
  const job = { id: randomUUID(), queue: queueOf(queue), data: data as never };
  const [id] = await engine.enqueue([{ ...job, delayMs: 0, priority: 0, dedupeKey: undefined }], undefined);
  return id!;
}

/** What a serializer signs everything by. */
const signing = { signingKeys: ['a secret of thirty-two bytes, ok'], signed: { purpose: 'contract' } } as const;

/** The same engine, with word of what it stores. */
const telling = (engine: Engine, tell: (job: NewJob) => void): Engine =>
  replacing(engine, {
    enqueue(jobs, em) {
      jobs.forEach(tell);
      return engine.enqueue(jobs, em);
    },
  });

/** The same engine, with word of what became of its jobs. */
const judging = (engine: Engine, tell: (outcome: Outcome) => void): Engine =>
  replacing(engine, {
    work(queue, run, onError) {
      const judged: RunJobs = async (jobs) => {
        const outcomes = await run(jobs);
        outcomes.forEach(tell);
        return outcomes;
      };
      return engine.work(queue, judged, onError);
    },
  });

function replacing(engine: Engine, own: Partial<Engine>): Engine {
  return new Proxy(engine, {
    get(target, member) {
      if (Object.hasOwn(own, member)) return Reflect.get(own, member);
      const value: unknown = Reflect.get(target, member, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A job that was discarded without a retry, as nobody believes it. */
async function assertDistrusted(context: Context, handle: JobHandle<unknown>): Promise<void> {
  assert.deepEqual(await context.end(handle), { state: 'failed', attempt: 1 });
  await assert.rejects(handle.result(), ({ failure }: JobFailedError) =>
    /signature can't be trusted/.test(failure.message),
  );
}

async function inContext(setup: EngineSetup, run: (context: Context) => Promise<void>): Promise<void> {
  const context = new Context(setup, await setup.engine());
  try {
    await run(context);
  } finally {
    await context.stop();
  }
}

const CASES: Readonly<Record<string, (context: Context) => Promise<void>>> = {
  async 'a job receives the row of now, and its result comes back fresh'(context) {
    const tasks = context.tasks();
    const mail = tasks.define(name(), async ({ account }: { account: Account }) => ({
      account,
      sentTo: account.email,
    }));
    const em = context.orm.em.fork();
    const account = await context.account('old@example.org', em);
    const handle = await mail.delay({ account });
    account.email = 'new@example.org';
    await em.flush();
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 1 });
    account.email = 'newest@example.org';
    await em.flush();
    const result = await mail.handle(handle.id).result({ em: context.orm.em.fork() });
    assert.deepEqual([result!.sentTo, result!.account.email], ['new@example.org', 'newest@example.org']);
  },

  async 'each job has an EntityManager and a request context of its own, cleared after it'(context) {
    const tasks = context.tasks();
    const seen: EntityManager[] = [];
    const task = tasks.define(
      name(),
      async ({ account, fails }: { account: Account; fails: boolean }, job) => {
        seen.push(job.em);
        assert.ok(RequestContext.getEntityManager() === job.em, 'the request context is not the job’s');
        assert.equal(await job.em.findOne(Account, account.id), account);
        if (fails && job.attempt === 1) throw new Error('failed on purpose');
      },
      { retries: fast },
    );
    const account = await context.account();
    const handles = await task.bulk([
      { account, fails: false },
      { account, fails: true },
    ]);
    await tasks.work();
    for (const handle of handles) assert.equal((await context.end(handle)).state, 'completed');
    assert.equal(new Set(seen).size, 3);
    for (const em of seen) assert.equal(managesAnything(em), false);
  },

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

  async 'a class that was renamed is found by its alias'(context) {
    const tasks = context.tasks();
    const queue = name();
    const task = tasks.define(queue, async ({ account }: { account: Account }) => account.email);
    const { id } = await context.account('alias@example.org');
    const handle = task.handle(
      await enqueueRaw(context.engine, queue, { $byref: 1, data: { account: { $entity: ['contract.User', id] } } }),
    );
    await tasks.work();
    await context.end(handle);
    assert.equal(await handle.result(), 'alias@example.org');
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

  async 'a job without an envelope reaches the handler unchanged'(context) {
    const tasks = context.tasks();
    const queue = name();
    const task = tasks.define(queue, async (args: unknown) => args);
    const data = { userId: 7, $entity: ['not', 'a token'], nested: { a: [null] } };
    const handle = task.handle(await enqueueRaw(context.engine, queue, data));
    await tasks.work();
    await context.end(handle);
    assert.deepEqual(await handle.result(), data);
  },

  async 'signed: own jobs run, their retries as well, and their results are those of the job'(context) {
    const tasks = context.tasks(signing);
    const task = tasks.define(
      name(),
      async ({ account }: { account: Account }, job) => {
        if (job.attempt === 1) throw new Error('failed on purpose');
        return { account };
      },
      { retries: fast },
    );
    const silent = tasks.define(name(), async () => undefined);
    const [handle, nothing] = [await task.delay({ account: await context.account('kept') }), await silent.delay({})];
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 2 });
    const result = await handle.result({ em: context.orm.em.fork() });
    assert.equal(result!.account.email, 'kept');
    assert.equal((await context.end(nothing)).state, 'completed');
    assert.equal(await nothing.result(), undefined);
  },

  async 'signed: what is not is discarded, its format’s version unseen'(context) {
    const tasks = context.tasks(signing);
    const queue = name();
    const task = tasks.define(queue, async () => assert.fail('it ran'), { retries: fast });
    await tasks.work();
    for (const data of [
      { $byref: 1, data: {} },
      { $byref: 999 },
      { $byref: 1, data: {}, signature: 'x' },
      { plain: 1 },
    ]) {
      await assertDistrusted(context, task.handle(await enqueueRaw(context.engine, queue, data)));
    }
  },

  async 'signed: a job that was moved to another task’s queue, or says another task, is discarded'(context) {
    const stored: NewJob[] = [];
    const tasks = context.tasks(
      signing,
      telling(context.engine, (job) => void stored.push(job)),
    );
    const shared = name();
    const ran: string[] = [];
    const [one, two, other] = ['one', 'two', 'other'].map((is) =>
      tasks.define(name(), async () => void ran.push(is), { retries: fast, queue: is === 'other' ? name() : shared }),
    );
    const handle = await one!.delay({});
    await tasks.work();
    await context.end(handle);
    const { data, queue } = stored[0]!;
    assert.equal(queue.name, shared);
    const renamed = { ...data, task: { name: two!.taskName } };
    await assertDistrusted(context, two!.handle(await enqueueRaw(context.engine, shared, renamed)));
    await other!.delay({});
    const foreign = stored[1]!.queue.name;
    await assertDistrusted(context, other!.handle(await enqueueRaw(context.engine, foreign, data)));
    // Whoever has seen a job may send it once more.
    const again = one!.handle(await enqueueRaw(context.engine, shared, data));
    assert.equal((await context.end(again)).state, 'completed');
    assert.deepEqual(ran.toSorted(), ['one', 'one', 'other']);
  },

  async 'signed: a result that is forged, or another job’s, is refused'(context) {
    const tasks = context.tasks(signing);
    const queue = name();
    const task = tasks.define(queue, async () => 'mine');
    const first = await task.delay({});
    await tasks.work();
    await context.end(first);
    assert.equal(await first.result(), 'mine');
    const { output } = (await context.engine.find(queueOf(queue), first.id))!;
    await tasks.stop();
    const left = [output, { $byref: 1, data: 'forged' }, { forged: true }];
    const handles = [await task.delay({}), await task.delay({}), await task.delay({})];
    const run: RunJobs = async (jobs) => jobs.map(() => ({ status: 'completed', output: left.pop() as JsonObject }));
    await context.engine.work(queueOf(queue), run, (error) => assert.fail(String(error)));
    for (const handle of handles) {
      assert.equal((await context.end(handle)).state, 'completed');
      await assert.rejects(handle.result(), { code: 'E_BAD_SIGNATURE' });
    }
    assert.equal(await first.result(), 'mine');
  },

  async 'a batch is revived with one query per model, and one bad job does not spoil it'(context) {
    const tasks = context.tasks();
    const sizes: number[] = [];
    const task = tasks.define(
      name(),
      async (list: { account: Account }[], jobs) => {
        sizes.push(list.length);
        assert.equal(new Set(jobs.map((job) => job.em)).size, 1);
        return list.map(({ account }) => account.email);
      },
      { batch: 50, retryMissingForMs: 0, retries: fast },
    );
    const accounts = await Promise.all(Array.from({ length: 20 }, (_, index) => context.account(`${index}`)));
    const handles = await task.bulk(accounts.map((account) => ({ account })));
    await context.orm.em.fork().nativeDelete(Account, accounts[7]!.id);
    const queries: number[] = [];
    const listen = (trace: unknown): void => void queries.push((trace as ReviveTrace).report!.queries);
    subscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
    try {
      await tasks.work();
      for (const [index, handle] of handles.entries()) {
        const { state } = await context.end(handle);
        assert.equal(state, index === 7 ? 'failed' : 'completed');
        if (index !== 7) assert.equal(await handle.result(), `${index}`);
      }
    } finally {
      unsubscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
    }
    assert.deepEqual([sizes, queries], [[19], [1]]);
  },

  async 'dedupe: while an equal job waits, the second is dropped and its handle is the first one’s'(context) {
    const tasks = context.tasks();
    let runs = 0;
    const task = tasks.define(name(), async (_args: { account: Account; n: number }) => ++runs);
    const account = await context.account();
    const [first, second, other] = [
      await task.delay({ account, n: 1 }, { dedupe: account }),
      await task.delay({ account, n: 2 }, { dedupe: context.orm.em.fork().getReference(Account, account.id) }),
      await task.delay({ account, n: 3 }, { dedupe: [account, 'other'] }),
    ];
    assert.equal(second.id, first.id);
    assert.notEqual(other.id, first.id);
    await tasks.work();
    await context.end(first);
    await context.end(other);
    assert.equal(runs, 2);
    const again = await task.delay({ account, n: 4 }, { dedupe: account });
    assert.notEqual(again.id, first.id);
    await context.end(again);
    assert.equal(runs, 3);
  },

  async 'dedupe: transactions that meet crosswise both commit, each with jobs that see what it wrote'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async ({ account }: { account: Account }) => account.email);
    const [one, two] = [await context.account('1'), await context.account('2')];
    const both = Promise.withResolvers<void>();
    const waiting = new Set([one, two]);
    const delayBoth = (first: Account, second: Account): Promise<JobHandle<string>[]> =>
      context.orm.em.fork().transactional(async (em) => {
        const handles = [await task.delay({ account: first }, { em, dedupe: first })];
        waiting.delete(first);
        if (waiting.size === 0) both.resolve();
        // A database with one connection has one transaction after the other.
        await Promise.race([both.promise, sleep(1_000)]);
        return [...handles, await task.delay({ account: second }, { em, dedupe: second })];
      });
    const handles = (await Promise.all([delayBoth(one, two), delayBoth(two, one)])).flat();
    await tasks.work();
    for (const handle of handles) assert.equal((await context.end(handle)).state, 'completed');
  },

  async 'a transaction that commits delivers its jobs, one that rolls back does not'(context) {
    const tasks = context.tasks();
    const emails: string[] = [];
    const task = tasks.define(name(), async ({ account }: { account: Account }) => void emails.push(account.email));
    await tasks.work();
    const enqueue = async (email: string, ends: boolean): Promise<JobHandle<void>> => {
      let handle: JobHandle<void> | undefined;
      const transaction = context.orm.em.fork().transactional(async (em) => {
        handle = await task.delay({ account: await context.account(email, em) });
        await sleep(300);
        assert.ok(!emails.includes(email));
        if (!ends) throw new Error('rolled back on purpose');
      });
      if (ends) await transaction;
      else await assert.rejects(transaction, /on purpose/);
      return handle!;
    };
    const lost = await enqueue('rolled back', false);
    const kept = await enqueue('committed', true);
    await context.end(kept);
    assert.deepEqual(emails, ['committed']);
    assert.equal(await lost.state(), undefined);
  },

  async 'a savepoint that rolls back takes its jobs along, and no others'(context) {
    const tasks = context.tasks();
    const seen: number[] = [];
    const task = tasks.define(name(), async ({ n }: { account: Account; n: number }) => void seen.push(n));
    const handles = await context.orm.em.fork().transactional(async (em) => {
      const account = await context.account('outer', em);
      const first = await task.delay({ account, n: 1 });
      const lost = em.transactional(async () => {
        await task.delay({ account, n: 2 });
        throw new Error('rolled back on purpose');
      });
      await assert.rejects(lost, /on purpose/);
      const inner = await em.transactional(() => task.delay({ account, n: 3 }));
      return [first, inner];
    });
    await tasks.work();
    for (const handle of handles) await context.end(handle);
    assert.deepEqual(seen.toSorted(), [1, 3]);
  },

  async 'the transaction is that of the EntityManager, or of the entities; two are refused'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async (_args: { accounts: Account[] }) => undefined);
    const outside = await context.account();
    await context.orm.em.fork().transactional(async (one) => {
      const first = await context.account('1', one);
      await context.orm.em.fork().transactional(async (two) => {
        const second = await context.account('2', two);
        const mismatch = { code: 'E_TRANSACTION_MISMATCH', retryable: false };
        await assert.rejects(task.delay({ accounts: [first, second] }), mismatch);
        await assert.rejects(task.delay({ accounts: [second] }, { em: one }), mismatch);
        await task.delay({ accounts: [outside] }, { em: one });
        await task.delay({ accounts: [outside, first] });
      });
    });
  },

  async 'a delayed job waits; a larger priority goes first'(context) {
    const tasks = context.tasks();
    const order: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void order.push(is));
    const handles = [
      await task.delay({ is: 'low' }),
      await task.delay({ is: 'high' }, { priority: 5 }),
      await task.delay({ is: 'late' }, { delayMs: 1_500 }),
    ];
    await tasks.work();
    for (const handle of handles) await context.end(handle);
    assert.deepEqual(order, ['high', 'low', 'late']);
  },

  async 'stop waits for the job under way and takes no other'(context) {
    const tasks = context.tasks();
    const events: string[] = [];
    const task = tasks.define(name(), async ({ n }: { n: number }) => {
      events.push(`start ${n}`);
      await sleep(400);
      events.push(`end ${n}`);
    });
    await tasks.work();
    void task.delay({ n: 1 });
    await context.until(() => events.length > 0);
    await tasks.stop();
    assert.deepEqual(events, ['start 1', 'end 1']);
    const second = await task.delay({ n: 2 });
    await sleep(300);
    assert.equal(await second.state(), 'waiting');
    assert.equal(events.length, 2);
  },

  async 'a transactional task: its writes and its completion commit together'(context) {
    const tasks = context.tasks();
    const note = name();
    const handler = async (_args: unknown, job: { em: EntityManager; attempt: number }): Promise<string> => {
      job.em.create(Effect, { id: Math.floor(Math.random() * 2 ** 31), note });
      await job.em.flush();
      if (job.attempt === 1) throw new Error('failed on purpose after the write');
      return note;
    };
    if (!context.engine.isTransactional) {
      assert.throws(() => tasks.define(note, handler, { transactional: true }), { code: 'E_UNSUPPORTED' });
      return;
    }
    const task = tasks.define(note, handler, { transactional: true, retries: fast });
    const handle = await task.delay({});
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 2 });
    assert.equal(await context.effects(note), 1);
    assert.equal(await handle.result(), note);
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
    const options = { retries: fast, transactional: context.engine.isTransactional };
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

  async 'wait: the result, the failure, or E_TIMEOUT'(context) {
    const tasks = context.tasks();
    const task = tasks.define(
      name(),
      async ({ n }: { n: number }) => {
        if (n < 0) throw new DiscardJobError('negative');
        return n + 1;
      },
      { retries: fast },
    );
    const waiting = await task.delay({ n: 1 });
    if ((await waiting.state()) !== 'completed') {
      await assert.rejects(waiting.wait({ timeoutMs: 50 }), { code: 'E_TIMEOUT', retryable: true });
      await assert.rejects(waiting.wait({ signal: AbortSignal.abort(new Error('not wanted')) }), /not wanted/);
    }
    await tasks.work();
    assert.equal(await waiting.wait({ timeoutMs: context.timeoutMs }), 2);
    const failing = await task.delay({ n: -1 });
    await assert.rejects(failing.wait({ timeoutMs: context.timeoutMs }), /negative/);
  },

  async 'wait inside the transaction of the job is an error at once'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async () => 'done');
    await tasks.work();
    const handle = await context.orm.em.fork().transactional(async (em) => {
      const own = await task.delay({}, { em });
      await assert.rejects(own.wait(), { code: 'E_UNSUPPORTED' });
      return own;
    });
    assert.equal(await handle.wait({ timeoutMs: context.timeoutMs }), 'done');
  },

  async 'cancel: a waiting job is gone; one that has run is not'(context) {
    const tasks = context.tasks();
    const ran: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void ran.push(is));
    const [gone, kept] = [await task.delay({ is: 'gone' }), await task.delay({ is: 'kept' })];
    assert.equal(await gone.cancel(), true);
    assert.equal(await gone.state(), undefined);
    assert.equal(await gone.cancel(), true);
    await tasks.work();
    await context.end(kept);
    assert.equal(await kept.cancel(), false);
    assert.equal(await task.handle(gone.id).cancel(), false);
    await assert.rejects(gone.wait(), /taken back/);
    assert.deepEqual(ran, ['kept']);
  },

  async 'cancel inside the transaction of the job: it never is, unless that is undone'(context) {
    const tasks = context.tasks();
    const ran: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void ran.push(is));
    const last = await context.orm.em.fork().transactional(async (em) => {
      const gone = await task.delay({ is: 'gone' }, { em });
      assert.equal(await gone.cancel(), true);
      return task.delay({ is: 'last' }, { em });
    });
    await tasks.work();
    await context.end(last);
    assert.deepEqual(ran, ['last']);
  },

  async 'at: the job waits until then'(context) {
    const tasks = context.tasks();
    const order: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void order.push(is));
    const handles = [
      await task.delay({ is: 'then' }, { at: new Date(Date.now() + 1_500) }),
      await task.delay({ is: 'long due' }, { at: new Date(0) }),
    ];
    await tasks.work();
    for (const handle of handles) await context.end(handle);
    assert.deepEqual(order, ['long due', 'then']);
    await assert.rejects(task.delay({ is: 'x' }, { at: new Date(), delayMs: 1 }), { code: 'E_INVALID_OPTION' });
  },

  async 'a declared task is enqueued by a program without its handler'(context) {
    const queue = name();
    const worker = context.tasks();
    worker.define(queue, async ({ account }: { account: Account }) => account.email, { retries: fast });
    const producer = context.tasks().declare<{ account: Account }, string>(queue, { retries: fast });
    const handle = await producer.delay({ account: await context.account('declared@example.org') });
    await worker.work();
    assert.equal(
      await handle.wait({ timeoutMs: context.timeoutMs, em: context.orm.em.fork() }),
      'declared@example.org',
    );
  },

  async 'stop: one promise for all, and with a time-out the number of jobs left, whose signals are aborted'(context) {
    const tasks = context.tasks();
    const { promise: isReleased, resolve: release } = Promise.withResolvers<void>();
    let signal: AbortSignal | undefined;
    const task = tasks.define(name(), async (_args: unknown, job) => {
      signal = job.signal;
      await isReleased;
    });
    await tasks.work();
    void task.delay({});
    await context.until(() => signal !== undefined);
    const stopped = tasks.stop();
    assert.equal(tasks.stop({ timeoutMs: 100 }), stopped);
    assert.equal(await stopped, 1);
    assert.equal(signal!.aborted, true);
    release();
    await context.until(async () => (await tasks.stop({ timeoutMs: context.timeoutMs })) === 0);
  },

  async 'what a context captured is encoded as arguments are'(context) {
    const account = await context.account('tenant@example.org');
    const seen: unknown[] = [];
    const tasks = context.tasks({}, context.engine, {
      context: {
        capture: () => ({ account, at: new Date(0), list: new Map([[1n, 'one']]) }),
        async run(captured, _em, next) {
          const own = captured as { account: Account; at: Date; list: Map<bigint, string> };
          seen.push(own.account.email, own.at.getTime(), own.list.get(1n));
          await next();
        },
      },
    });
    const task = tasks.define(name(), async () => undefined);
    const handle = await task.delay({});
    await context.orm.em.fork().nativeUpdate(Account, account.id, { email: 'now@example.org' });
    await tasks.work();
    assert.equal((await context.end(handle)).state, 'completed');
    assert.deepEqual(seen, ['now@example.org', 0, 'one']);
  },

  async 'a schedule is made, replaced and ended; one that is not there is none'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async () => undefined);
    if (!context.schedules) {
      await assert.rejects(task.schedule('0 0 1 1 *', {}), { code: 'E_UNSUPPORTED' });
    } else {
      await task.schedule('0 0 1 1 *', { n: 1 });
      await task.schedule('0 0 2 1 *', { n: 2 });
    }
    await task.unschedule();
    await task.unschedule();
  },
};
