import { tracingChannel } from 'node:diagnostics_channel';
import { afterEach, expect, jest, test } from '@jest/globals';
import { type LockProvider, Locks, type LockTrace } from 'mikro-orm-byref/locks';
import { failureOf } from '../support/failure.ts';

const serializer = { dedupeKey: (key: unknown): string => JSON.stringify(key) };
/** A lock that another process holds: it never comes free. */
const taken: LockProvider = {
  acquire: (_key, { signal }) =>
    new Promise((resolve) => {
      if (signal.aborted) resolve(undefined);
      signal.addEventListener('abort', () => resolve(undefined));
    }),
};
const free: LockProvider = {
  acquire: async () => ({ signal: new AbortController().signal, token: 7n, release: async () => {} }),
};

afterEach(() => void jest.useRealTimers());

/** How the call is after so many milliseconds. */
async function stateAfter(ms: number, call: Promise<unknown>): Promise<string> {
  let state = 'waiting';
  call.then(
    () => (state = 'ran'),
    (error: Error) => (state = error.message),
  );
  await jest.advanceTimersByTimeAsync(ms);
  return state;
}

test('a call that says nothing of it waits for a minute; Infinity waits on', async () => {
  jest.useFakeTimers();
  const locks = new Locks(serializer, taken);
  const calls = [locks.run('a', () => 0), locks.acquire('a'), locks.run('a', () => 0, { waitMs: Infinity })] as const;
  const early = calls.map((call) => stateAfter(59_999, call));
  expect(await early[0]).toBe('waiting');
  const late = await Promise.all(calls.map((call) => stateAfter(2, call)));
  const refused = expect.stringMatching(/"a" is held elsewhere and was not free within 60000 ms/);
  expect(late).toEqual([refused, refused, 'waiting']);
});

test('a lock of another Locks is none of the circle’s, and neither is a lock in hand', async () => {
  const [here, there] = [new Locks(serializer, free), new Locks(serializer, taken)];
  const waitMs = 20;
  const message = (key: string) => expect.stringMatching(`"${key}" is held elsewhere and was not free within 20 ms`);
  const hand = await here.acquire('a');
  const outcomes = await Promise.all([
    failureOf(() => here.run('a', () => there.run('b', () => 0, { waitMs }))),
    failureOf(() => here.run('b', () => there.run('a', () => 0, { waitMs }))),
  ]);
  expect(outcomes.map((error) => error.message)).toEqual([message('b'), message('a')]);
  await hand.release();
});

test('nothing is made for the tracing channel while nobody listens, and a listener sees the call as its own', async () => {
  const locks = new Locks(serializer, free);
  const channel = tracingChannel<unknown, LockTrace>('mikro-orm-byref:locks');
  const traces = new Set<object>();
  const add = (trace: object): void => void traces.add(trace);
  expect(channel.hasSubscribers).toBe(false);
  await locks.run('a', () => 0);
  const subscribers = { start: add, end: add, asyncStart: add, asyncEnd: add, error: add };
  channel.subscribe(subscribers);
  try {
    expect(await locks.tryRun('a', () => 'ran')).toEqual({ ran: true, result: 'ran' });
    await expect(locks.run('a', () => Promise.reject(new Error('of the work')))).rejects.toThrow('of the work');
    await (await locks.tryAcquire('a'))!.release();
  } finally {
    channel.unsubscribe(subscribers);
  }
  expect([...traces]).toEqual([
    { key: '"a"', waitedMs: expect.any(Number), token: 7n },
    { key: '"a"', waitedMs: expect.any(Number), token: 7n, error: expect.objectContaining({ message: 'of the work' }) },
    { key: '"a"', waitedMs: expect.any(Number), token: 7n },
  ]);
});
