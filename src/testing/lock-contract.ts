import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { tracingChannel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MikroORM, ref } from '@mikro-orm/core';
import { EntitySerializer } from '../entity-serializer.ts';
import type { LockProvider } from '../locks/lock-provider.ts';
import { type LockGrant, Locks } from '../locks/locks.ts';
import type { LockTrace } from '../locks/tracing.ts';
import { Account, type ContractCase } from './engine-context.ts';
import type { LockCommand } from './lock-worker.ts';

/** What a suite of cases runs on. */
export interface LockSetup {
  /** An ORM with `contractEntities` and their tables. */
  readonly orm: MikroORM;
  /** A new provider over the same locks, as another process would have. */
  provider(): LockProvider | Promise<LockProvider>;
  /**
   * Whether its locks have fencing tokens.
   * @defaultValue no
   */
  readonly hasTokens?: boolean;
  /** Forks a process that calls `lockWorker` with a provider over the same locks. */
  worker(): ChildProcess;
  /** Takes every lock from whoever holds it: its connection is cut, its lease is over. */
  loseLocks(): Promise<void>;
}

/** For a store that lives in the memory of one process: there is no other process, and nobody who loses a lock. */
export type LocalLockSetup = Omit<LockSetup, 'worker' | 'loseLocks'>;

/** What every provider of locks must do, as cases for its tests. */
export function lockContract(setup: () => LockSetup): readonly ContractCase[] {
  return [
    ...localLockContract(setup),
    ...Object.entries(ACROSS_PROCESSES).map(([name, run]) => ({ name, run: () => inContext(setup(), run) })),
  ];
}

/** The part of the contract that one process can see. */
export function localLockContract(setup: () => LocalLockSetup): readonly ContractCase[] {
  return Object.entries(IN_A_PROCESS).map(([name, run]) => ({ name, run: () => inContext(setup(), run) }));
}

class Context<Setup extends LocalLockSetup> {
  readonly setup: Setup;
  readonly locks: Locks;
  readonly #opened: Locks[] = [];
  readonly #workers: ChildProcess[] = [];

  constructor(setup: Setup, provider: LockProvider) {
    this.setup = setup;
    this.locks = this.#locksOf(provider);
  }

  /** What another process would use. */
  async others(): Promise<Locks> {
    return this.#locksOf(await this.setup.provider());
  }

  async worker(this: Context<LockSetup>): Promise<ChildProcess> {
    const worker = this.setup.worker();
    this.#workers.push(worker);
    assert.equal(await answerOf(worker), 'ready');
    return worker;
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) worker.kill('SIGKILL');
    for (const locks of this.#opened) await locks.close();
  }

  #locksOf(provider: LockProvider): Locks {
    const locks = new Locks(new EntitySerializer(this.setup.orm), provider);
    this.#opened.push(locks);
    return locks;
  }
}

async function inContext<Setup extends LocalLockSetup>(
  setup: Setup,
  run: (context: Context<Setup>) => Promise<void>,
): Promise<void> {
  const context = new Context(setup, await setup.provider());
  try {
    await run(context);
  } finally {
    await context.close();
  }
}

async function answerOf(worker: ChildProcess): Promise<unknown> {
  const signal = AbortSignal.timeout(20_000);
  return (await once(worker, 'message', { signal }))[0];
}

async function ask(worker: ChildProcess, command: LockCommand): Promise<unknown> {
  worker.send(command);
  return answerOf(worker);
}

/** A call of `run` that has begun and lasts until it is told to end. */
interface Holder {
  readonly signal: AbortSignal;
  readonly outcome: Promise<string>;
  end(): void;
}

async function holderOf(locks: Locks, key: unknown): Promise<Holder> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<AbortSignal>();
  const work = locks.run(key, (signal) => {
    begun.resolve(signal);
    return promise;
  });
  const outcome = work.then(
    () => 'succeeded',
    (error: { code?: string }) => error.code ?? String(error),
  );
  return { signal: await Promise.race([begun.promise, work.then(() => assert.fail())]), outcome, end: resolve };
}

const exactly =
  (expected: unknown) =>
  (error: unknown): boolean =>
    error === expected;
const isFree = async (locks: Locks, key: unknown): Promise<boolean> => (await locks.tryRun(key, () => 0)).ran;
const name = (): string => `contract-${randomUUID()}`;
const lockedFor = (waitMs: number): object => ({
  code: 'E_LOCKED',
  retryable: true,
  message: new RegExp(waitMs === 0 ? 'at once' : `within ${waitMs} ms`),
});

/** Each call holds a key and asks for the next one; the last asks for the first one's. */
async function assertCircle(locks: Locks, keys: readonly string[]): Promise<void> {
  const all = Promise.withResolvers<void>();
  let holding = 0;
  const outcomes = await Promise.allSettled(
    keys.map((key, index) =>
      locks.run(key, async () => {
        if (++holding === keys.length) all.resolve();
        await all.promise;
        return locks.run(keys[(index + 1) % keys.length], () => index, { waitMs: Infinity });
      }),
    ),
  );
  const [failed, ...others] = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  assert.equal(others.length, 0);
  const { code, retryable, message } = failed!.reason as { code: string; retryable: boolean; message: string };
  assert.deepEqual([code, retryable], ['E_LOCKED', true]);
  assert.deepEqual(
    keys.filter((key) => !message.includes(key)),
    [],
  );
}

/** The greatest token so far is outgrown by the next; where the provider has none, there is none. */
function assertGrowing({ hasTokens = false }: LocalLockSetup, tokens: readonly (bigint | undefined)[]): void {
  tokens.forEach((token, index) => {
    if (hasTokens) assert.ok(typeof token === 'bigint' && token > (tokens[index - 1] ?? 0n), `${tokens.join(', ')}`);
    else assert.equal(token, undefined);
  });
}

/** What the channel tells, with what Node adds to it. */
type TracedCall = LockTrace & { readonly error?: { readonly code?: string }; readonly result?: unknown };

/** What is told of calls while `run` runs: the channel's events, with a copy of what each says. */
async function eventsOf(run: () => Promise<unknown>): Promise<[string, TracedCall][]> {
  const events: [string, TracedCall][] = [];
  const channel = tracingChannel<unknown, LockTrace>('mikro-orm-byref:locks');
  const keep = (event: string) => (trace: object) => void events.push([event, { ...trace } as TracedCall]);
  const subscribers = {
    start: keep('start'),
    end: () => undefined,
    asyncStart: () => undefined,
    asyncEnd: keep('asyncEnd'),
    error: keep('error'),
  };
  channel.subscribe(subscribers);
  try {
    await run();
  } finally {
    channel.unsubscribe(subscribers);
  }
  return events;
}

const IN_A_PROCESS: Record<string, (context: Context<LocalLockSetup>) => Promise<void>> = {
  async 'the same key runs one at a time, in the order of the calls; and again'({ locks }) {
    const key = name();
    const events: string[] = [];
    const work = (n: number): Promise<number> =>
      locks.run(key, async () => {
        events.push(`start ${n}`);
        await sleep(10);
        events.push(`end ${n}`);
        return n;
      });
    assert.deepEqual(await Promise.all([work(1), work(2), work(3)]), [1, 2, 3]);
    assert.deepEqual(events, ['start 1', 'end 1', 'start 2', 'end 2', 'start 3', 'end 3']);
    assert.equal(await work(4), 4);
  },

  async 'two providers exclude each other'(context) {
    const key = name();
    const others = await context.others();
    let inside = 0;
    const work = (locks: Locks): Promise<void> =>
      locks.run(key, async () => {
        assert.equal(++inside, 1);
        await sleep(2);
        inside--;
      });
    await Promise.all(Array.from({ length: 20 }, (_, index) => work(index % 2 === 0 ? context.locks : others)));
    assert.equal(await isFree(others, key), true);
  },

  async 'different keys run at the same time, also while others wait'(context) {
    const others = await context.others();
    const taken = await holderOf(others, 'taken');
    const waiting = [context.locks.run('taken', () => 'a'), context.locks.run('taken', () => 'b')];
    const [left, right] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    // Each ends only when the other has begun.
    const both = await Promise.all([
      context.locks.run(name(), () => (left.resolve(), right.promise.then(() => 1))),
      context.locks.run(name(), () => (right.resolve(), left.promise.then(() => 2))),
    ]);
    assert.deepEqual(both, [1, 2]);
    taken.end();
    assert.deepEqual(await Promise.all(waiting), ['a', 'b']);
  },

  async 'a row is one key, by whichever instance; a string is no encoded value'(context) {
    const others = await context.others();
    const id = Math.floor(Math.random() * 1_000_000_000);
    const em = context.setup.orm.em.fork();
    const account = em.create(Account, { id, email: 'old@example.org' });
    await em.flush();
    const holder = await holderOf(context.locks, account);
    account.email = 'changed@example.org';
    const elsewhere = context.setup.orm.em.fork();
    const reference = elsewhere.getReference(Account, id);
    const token = new EntitySerializer(context.setup.orm).token(account);
    for (const same of [account, reference, ref(reference), await elsewhere.findOneOrFail(Account, id), token]) {
      assert.equal(await isFree(others, same), false);
      assert.equal(await isFree(context.locks, same), false);
    }
    for (const other of [JSON.stringify(token.toJSON()), String(token), [account], { account }]) {
      assert.equal(await isFree(others, other), true);
    }
    holder.end();
    assert.equal(await holder.outcome, 'succeeded');
    assert.equal(await isFree(others, reference), true);
  },

  async 'waitMs: E_LOCKED when it is over, and the lock when it comes free before'(context) {
    const key = name();
    const others = await context.others();
    const holder = await holderOf(others, key);
    for (const waitMs of [0, 60]) {
      await assert.rejects(
        context.locks.run(key, () => assert.fail(), { waitMs }),
        lockedFor(waitMs),
      );
      await assert.rejects(
        others.run(key, () => assert.fail(), { waitMs }),
        lockedFor(waitMs),
      );
      await assert.rejects(context.locks.acquire(key, { waitMs }), lockedFor(waitMs));
    }
    const next = context.locks.run(key, () => 'ran', { waitMs: 20_000 });
    holder.end();
    assert.equal(await next, 'ran');
    // The next may have the lock before the holder has read that its own is released.
    assert.equal(await holder.outcome, 'succeeded');
    assert.equal(await isFree(others, key), true);
  },

  async 'a caller that gives up waiting leaves the lock to the others'(context) {
    const key = name();
    const holder = await holderOf(await context.others(), key);
    const giveUp = new AbortController();
    const given = context.locks.run(key, () => assert.fail(), { signal: giveUp.signal });
    const patient = context.locks.run(key, () => 'ran');
    const reason = new Error('the request is gone');
    giveUp.abort(reason);
    await assert.rejects(given, exactly(reason));
    holder.end();
    assert.equal(await patient, 'ran');
    await assert.rejects(
      context.locks.run(key, () => assert.fail(), { signal: giveUp.signal }),
      exactly(reason),
    );
    assert.equal(await isFree(context.locks, key), true);
  },

  async 'tryRun says whether it ran'(context) {
    const key = name();
    const others = await context.others();
    const inner = await context.locks.tryRun(key, () => others.tryRun(key, () => 'both'));
    assert.deepEqual(inner, { ran: true, result: { ran: false } });
    assert.deepEqual(await others.tryRun(key, () => 'now'), { ran: true, result: 'now' });
  },

  async 'a lock in hand is held until it is released'(context) {
    const key = name();
    const others = await context.others();
    const lock = await context.locks.acquire(key);
    assert.equal(await others.tryAcquire(key), undefined);
    assert.equal(await context.locks.tryAcquire(key), undefined);
    await lock.release();
    await lock.release();
    const next = await others.tryAcquire(key);
    assert.equal(next?.signal.aborted, false);
    // Released for good: the second release must not free the next holder's lock.
    await lock.release();
    assert.equal(await isFree(context.locks, key), false);
    await next[Symbol.asyncDispose]();
    assert.equal(await isFree(context.locks, key), true);
  },

  async 'what fn throws passes through, and the lock is free'(context) {
    const key = name();
    const others = await context.others();
    const failure = new Error('failed on purpose');
    await assert.rejects(
      context.locks.run(key, () => Promise.reject(failure)),
      exactly(failure),
    );
    await assert.rejects(
      context.locks.tryRun(key, () => {
        throw failure;
      }),
      exactly(failure),
    );
    assert.equal(await isFree(others, key), true);
    assert.equal(await isFree(context.locks, key), true);
  },

  async 'nested use of the key runs through, and frees nothing'(context) {
    const key = name();
    const others = await context.others();
    const seen = await context.locks.run(key, async (signal) => {
      const nested = await context.locks.run(key, async (innerSignal) => {
        const lock = await context.locks.acquire(key);
        await lock.release();
        return [innerSignal === signal, context.locks.signal === signal, await isFree(others, key)];
      });
      const other = await context.locks.run([key], async () => isFree(context.locks, key));
      return [...nested, other, await isFree(others, key)];
    });
    assert.deepEqual(seen, [true, true, false, true, false]);
    assert.equal(context.locks.signal, undefined);
    assert.equal(await isFree(others, key), true);
  },

  async 'two locks taken crosswise: the call that closes the circle is E_LOCKED at once, with both names'({ locks }) {
    await assertCircle(locks, [name(), name()]);
  },

  async 'a circle of three is found as well, and one of the same key in two orders is none'({ locks }) {
    const keys = [name(), name(), name()];
    await assertCircle(locks, keys);
    const [first, second] = keys as [string, string];
    const inOrder = (): Promise<string> => locks.run(first, () => locks.run(second, async () => 'ran'));
    assert.deepEqual(await Promise.all([inOrder(), inOrder(), inOrder()]), ['ran', 'ran', 'ran']);
  },

  async 'a circle through another process ends with waitMs'(context) {
    const [first, second] = [name(), name()];
    const others = await context.others();
    const [here, there] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const impatient = context.locks.run(first, async () => {
      here.resolve();
      await there.promise;
      return context.locks.run(second, () => assert.fail(), { waitMs: 60 });
    });
    const patient = others.run(second, async () => {
      there.resolve();
      await here.promise;
      return others.run(first, () => 'ran', { waitMs: 20_000 });
    });
    await assert.rejects(impatient, lockedFor(60));
    assert.equal(await patient, 'ran');
  },

  async 'work that is left behind keeps what it has begun, and holds nothing after it'(context) {
    const key = name();
    const others = await context.others();
    const [nestedMayEnd, branchMayGoOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let nested: Promise<unknown> | undefined;
    let branch: Promise<boolean> | undefined;
    await context.locks.run(key, async () => {
      nested = context.locks.run(key, () => nestedMayEnd.promise);
      branch = branchMayGoOn.promise.then(() => isFree(context.locks, key));
    });
    assert.equal(await isFree(others, key), false);
    nestedMayEnd.resolve();
    await nested;
    const holder = await holderOf(others, key);
    branchMayGoOn.resolve();
    assert.equal(await branch, false);
    holder.end();
    await holder.outcome;
  },

  async 'the work knows its lock’s token, which outgrows those of all who held the key before'(context) {
    const { locks, setup } = context;
    const key = name();
    const others = await context.others();
    const tokens: (bigint | undefined)[] = [];
    const work = (_signal: AbortSignal, { token }: LockGrant): unknown => tokens.push(token);
    for (let time = 0; time < 3; time++) {
      await locks.run(key, work);
      await others.tryRun(key, work);
      const lock = await locks.acquire(key);
      tokens.push(lock.token);
      // Those who wait for it come after it.
      const waiting = others.run(key, work);
      await lock.release();
      await waiting;
    }
    assertGrowing(setup, tokens);
    await locks.run(key, async (signal, lock) => {
      assert.equal(lock.signal, signal);
      assert.equal(locks.token, lock.token);
      await locks.run(key, (_, nested) => assert.equal(nested.token, lock.token));
      await locks.run([key], (_, inner) => assert.equal(locks.token, inner.token));
    });
    assert.equal(locks.token, undefined);
  },

  async 'tracingChannel tells of each call its key, how long it waited and its token, and of no result'(context) {
    const { locks } = context;
    const key = name();
    const others = await context.others();
    const text = JSON.stringify(key);
    let token: bigint | undefined;
    const granted = await eventsOf(() => locks.run(key, (_, lock) => ((token = lock.token), 'a result')));
    assert.deepEqual(
      granted.map(([event, trace]) => [event, trace.key, trace.waitedMs > 0, trace.token, trace.result]),
      [
        ['start', text, false, undefined, undefined],
        ['asyncEnd', text, true, token, undefined],
      ],
    );
    const holder = await holderOf(others, key);
    const refused = await eventsOf(() => locks.run(key, () => 0, { waitMs: 60 }).catch(() => undefined));
    assert.deepEqual(
      refused.map(([event, { error }]) => [event, error?.code]),
      [
        ['start', undefined],
        ['error', 'E_LOCKED'],
        ['asyncEnd', 'E_LOCKED'],
      ],
    );
    assert.ok(refused[1]![1].waitedMs > 50);
    assert.equal(refused[1]![1].token, undefined);
    holder.end();
    await holder.outcome;
  },

  async 'many keys and callers at once'(context) {
    const others = await context.others();
    const keys = Array.from({ length: 10 }, name);
    const counts = new Map<string, number>();
    const work = (locks: Locks, key: string): Promise<void> =>
      locks.run(key, async () => {
        const value = counts.get(key) ?? 0;
        await sleep(Math.random() * 3);
        counts.set(key, value + 1);
      });
    await Promise.all(keys.flatMap((key) => [context.locks, others, context.locks].map((locks) => work(locks, key))));
    assert.deepEqual(
      [...counts.values()],
      keys.map(() => 3),
    );
  },
};

const ACROSS_PROCESSES: Record<string, (context: Context<LockSetup>) => Promise<void>> = {
  async 'three processes run one at a time'(context) {
    const folder = await mkdtemp(join(tmpdir(), 'byref-locks-'));
    try {
      const file = join(folder, 'count');
      await writeFile(file, '0');
      const workers = await Promise.all([context.worker(), context.worker(), context.worker()]);
      const command = { do: 'count', key: name(), file, times: 15 } as const;
      assert.deepEqual(await Promise.all(workers.map((worker) => ask(worker, command))), Array(3).fill('counted'));
      assert.equal(await readFile(file, 'utf8'), '45');
    } finally {
      await rm(folder, { recursive: true });
    }
  },

  async 'a process that is killed frees its lock'(context) {
    const key = name();
    const worker = await context.worker();
    assert.equal(await ask(worker, { do: 'hold', key }), 'holding');
    assert.equal(await isFree(context.locks, key), false);
    const next = context.locks.run(key, () => 'ran', { waitMs: 25_000 });
    worker.kill('SIGKILL');
    assert.equal(await next, 'ran');
    assert.equal(await isFree(context.locks, key), true);
  },

  async 'a lost lock: the work is told, its success is not believed, and it frees no other’s lock'(context) {
    const key = name();
    const others = await context.others();
    const holder = await holderOf(context.locks, key);
    await context.setup.loseLocks();
    // At the latest when it ends.
    const next = await holderOf(others, key);
    holder.end();
    assert.equal(await holder.outcome, 'E_LOCK_LOST');
    assert.equal((holder.signal.reason as { code?: string }).code, 'E_LOCK_LOST');
    const third = await context.others();
    assert.equal(await isFree(third, key), false);
    assert.equal(await isFree(context.locks, key), false);
    next.end();
    assert.equal(await next.outcome, 'succeeded');
    assert.equal(await context.locks.run(key, () => 'ran'), 'ran');
  },

  async 'a lost lock: what fn throws still passes through, nested work is refused, a lock in hand says so'(context) {
    const failure = new Error('failed on purpose');
    const [first, second] = [name(), name()];
    const lock = await context.locks.acquire(second);
    const work = context.locks.run(first, async (signal) => {
      await context.setup.loseLocks();
      if (!signal.aborted) await once(signal, 'abort', { signal: AbortSignal.timeout(20_000) });
      await assert.rejects(
        context.locks.run(first, () => assert.fail()),
        { code: 'E_LOCK_LOST' },
      );
      throw failure;
    });
    await assert.rejects(work, exactly(failure));
    await assert.rejects(lock.release(), { code: 'E_LOCK_LOST', retryable: true });
    assert.equal(await isFree(context.locks, first), true);
    assert.equal(await isFree(context.locks, second), true);
  },

  async 'tokens outgrow those of other processes, of the killed and the lost among them'(context) {
    const key = name();
    const tokenOf = async (locks: Locks): Promise<bigint | undefined> => locks.run(key, (_, { token }) => token);
    const tokenIn = async (worker: ChildProcess): Promise<bigint | undefined> => {
      assert.equal(await ask(worker, { do: 'hold', key }), 'holding');
      const told = await ask(worker, { do: 'token' });
      return told === 'undefined' ? undefined : BigInt(told as string);
    };
    const [killed, lost] = await Promise.all([context.worker(), context.worker()]);
    const tokens = [await tokenOf(context.locks), await tokenIn(killed)];
    killed.kill('SIGKILL');
    tokens.push(await tokenOf(context.locks), await tokenIn(lost));
    await context.setup.loseLocks();
    tokens.push(await tokenOf(await context.others()), await tokenOf(context.locks));
    assertGrowing(context.setup, tokens);
  },

  async 'a process that lost its lock while it stood still does not free the next one’s'(context) {
    const key = name();
    const worker = await context.worker();
    assert.equal(await ask(worker, { do: 'hold', key }), 'holding');
    worker.kill('SIGSTOP');
    await context.setup.loseLocks();
    const next = await holderOf(context.locks, key);
    worker.kill('SIGCONT');
    assert.equal(await ask(worker, { do: 'let go' }), 'E_LOCK_LOST');
    assert.equal(await isFree(await context.others(), key), false);
    next.end();
    assert.equal(await next.outcome, 'succeeded');
    assert.equal(await ask(worker, { do: 'hold', key }), 'holding');
    assert.equal(await ask(worker, { do: 'let go' }), 'succeeded');
  },
};
