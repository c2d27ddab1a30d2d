import { expect, test } from '@jest/globals';
import { once } from '../../src/once.ts';

/** Runs that are ended by hand, in the order in which they were begun. */
function runs() {
  const begun: PromiseWithResolvers<string>[] = [];
  const run = (): Promise<string> => {
    const one = Promise.withResolvers<string>();
    begun.push(one);
    return one.promise;
  };
  return { begun, run };
}

test('callers share one run, and a success is remembered', async () => {
  const { begun, run } = runs();
  const open = once(run);
  const callers = [open(), open()];
  expect(begun).toHaveLength(1);
  begun[0]!.resolve('first');
  expect(await Promise.all([...callers, open()])).toEqual(['first', 'first', 'first']);
  expect(begun).toHaveLength(1);
});

test('a failure is told to all who share it and forgotten, so that the next call tries again', async () => {
  const { begun, run } = runs();
  const open = once(run);
  const retried = [open(), open()].map((opening) => opening.catch(() => open()));
  begun[0]!.reject(new Error('down'));
  await expect(open()).rejects.toThrow('down');
  await Promise.allSettled([begun[0]!.promise]);
  // Both retries were made where the failure was heard of, and share the second run.
  expect(begun).toHaveLength(2);
  begun[1]!.resolve('second');
  expect(await Promise.all(retried)).toEqual(['second', 'second']);
});

test('each key has a run of its own', async () => {
  const asked: string[] = [];
  const length = once(async (key: string) => asked.push(key));
  expect(await Promise.all(['a', 'b', 'a'].map((key) => length(key)))).toEqual([1, 2, 1]);
  expect(asked).toEqual(['a', 'b']);
});

test('what is forgotten is handed back and run again; its late failure takes nothing from the new run', async () => {
  const { begun, run } = runs();
  const open = once(run);
  expect(open.forget()).toBeUndefined();
  const former = open();
  expect(open.forget()).toBe(former);
  const current = open();
  begun[0]!.reject(new Error('late'));
  await expect(former).rejects.toThrow('late');
  expect(open()).toBe(current);
  begun[1]!.resolve('current');
  expect(await open()).toBe('current');
});
