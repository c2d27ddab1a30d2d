import { type EntityManager, EntitySchema, type MikroORM } from '@mikro-orm/core';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { EntitySerializer } from '../entity-serializer.ts';
import { ByReference } from '../models/by-reference.ts';
import type { EntitySerializerOptions } from '../options.ts';
import {
  completesInTransaction,
  type Engine,
  type NewJob,
  type Outcome,
  type QueueSettings,
  type RunJobs,
} from '../tasks/engine.ts';
import type { JobFailedError, JobHandle } from '../tasks/job-handle.ts';
import type { ErrorReport } from '../tasks/error-report.ts';
import { Tasks, type TasksOptions } from '../tasks/tasks.ts';

/** What a suite of cases runs on. */
export interface EngineSetup {
  /** An ORM with `contractEntities` and their tables. */
  readonly orm: MikroORM;
  /** A new engine over the same jobs, as another process would have. */
  engine(): Engine | Promise<Engine>;
  /**
   * Whether a job that could not be read for want of the database gets that attempt back.
   * @defaultValue true
   */
  readonly postpones?: boolean;
  /**
   * Whether it runs jobs by the clock.
   * @defaultValue true
   */
  readonly schedules?: boolean;
  /**
   * Whether jobs can be part of a transaction.
   * @defaultValue as the engine says
   */
  readonly isTransactional?: boolean;
  /**
   * Whether jobs can be completed in the transaction that their handler writes in.
   * @defaultValue as the engine says
   */
  readonly completesInTransaction?: boolean;
  /**
   * The longest that a job may wait before it is picked up or retried, in milliseconds.
   * @defaultValue 15,000
   */
  readonly timeoutMs?: number;
}

/** One case of a contract, for any test runner: `for (const { name, run } of cases) test(name, run)`. */
export interface ContractCase {
  /** What is claimed, as a sentence. */
  readonly name: string;
  /** Rejects where it is not so. */
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

export class Context {
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
    assert.equal(completesInTransaction(engine), setup.completesInTransaction ?? completesInTransaction(engine));
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

export const name = (): string => `contract-${randomUUID()}`;

export const fast = { limit: 4, delayMs: 100, backoff: false } as const;

export const queueOf = (queue: string): QueueSettings => ({ name: queue, retries: fast, concurrency: 1, batch: 1 });

/** Enqueues data that no task has encoded, as an older release or another producer would have. */
export async function enqueueRaw(engine: Engine, queue: string, data: object): Promise<string> {
  const job = { id: randomUUID(), queue: queueOf(queue), data: data as never };
  const [id] = await engine.enqueue([{ ...job, delayMs: 0, priority: 0, dedupeKey: undefined }], undefined);
  return id!;
}

/** What a serializer signs everything by. */
export const signing = { signingKeys: ['a secret of thirty-two bytes, ok'], signed: { purpose: 'contract' } } as const;

/** The same engine, with word of what it stores. */
export const telling = (engine: Engine, tell: (job: NewJob) => void): Engine =>
  replacing(engine, {
    enqueue(jobs, em) {
      jobs.forEach(tell);
      return engine.enqueue(jobs, em);
    },
  });

/** The same engine, with word of what became of its jobs. */
export const judging = (engine: Engine, tell: (outcome: Outcome) => void): Engine =>
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
export async function assertDistrusted(context: Context, handle: JobHandle<unknown>): Promise<void> {
  assert.deepEqual(await context.end(handle), { state: 'failed', attempt: 1 });
  await assert.rejects(handle.result(), ({ failure }: JobFailedError) =>
    /signature can't be trusted/.test(failure.message),
  );
}

/** A case of the engines' contract. */
export type EngineCases = Readonly<Record<string, (context: Context) => Promise<void>>>;
