import { expect, test } from '@jest/globals';
import type { BentoCacheLike } from 'mikro-orm-byref/cache';
import { isOpen } from '../../src/cache/stamp.ts';
import { OPEN_MS, TagStamps } from '../../src/cache/tag-stamps.ts';
import { Witness } from '../../src/cache/witness.ts';
import { inMemory } from '../support/bento.ts';
import { soon } from '../support/soon.ts';

const TAG = 'model:User';

test('a stamp stays, and never comes back: not by an invalidation, nor where it was lost', async () => {
  const bento = inMemory();
  const stamps = new TagStamps(bento);
  const seen = [await stamps.read(TAG)];
  expect(await stamps.read(TAG)).toBe(seen[0]);
  await stamps.close(new Set([TAG]));
  seen.push(await stamps.read(TAG));
  await bento.clear();
  seen.push(await stamps.read(TAG));
  expect(new Set(seen).size).toBe(3);
  expect(seen.some(isOpen)).toBe(false);
});

test('what a process has opened and never closed is closed by whoever meets it, by a clock of its own', async () => {
  const bento = inMemory();
  let now = 1_000;
  const stamps = new TagStamps(bento, () => now);
  await new TagStamps(bento).open([TAG]);
  expect(isOpen(await stamps.read(TAG))).toBe(true);
  now += OPEN_MS;
  expect(isOpen(await stamps.read(TAG))).toBe(true);
  now += 1;
  await stamps.read(TAG);
  await soon(async () => !isOpen(await stamps.read(TAG)));
});

test('what the store refuses is open in this process until it takes it', async () => {
  const bento = inMemory() as unknown as BentoCacheLike;
  const stamps = new TagStamps(bento);
  const before = await stamps.read(TAG);
  const { set } = bento;
  bento.set = () => Promise.reject(new Error('the store is down'));
  await expect(stamps.close(new Set([TAG]))).rejects.toThrow('the store is down');
  expect(isOpen(await stamps.read(TAG))).toBe(true);
  bento.set = set;
  await soon(async () => !isOpen(await stamps.read(TAG)));
  expect(await stamps.read(TAG)).not.toBe(before);
});

test('what another transaction has closed meanwhile does not let a value of before the commit be sworn to', async () => {
  const shared = new Map<string, unknown>();
  let held = (_key: string, _value: unknown): Promise<void> | undefined => undefined;
  const stampsOf = (): TagStamps =>
    new TagStamps({
      get: async ({ key }) => shared.get(key),
      async set({ key, value, skipL2Write }) {
        if (skipL2Write === true) return true;
        await held(key, value);
        return shared.set(key, value) === shared;
      },
      delete: async ({ key }) => shared.delete(key),
    });
  const [writer, overlapping, reader] = [stampsOf(), stampsOf(), stampsOf()];
  const row = { tag: 'row:1', models: [TAG] };
  await writer.open([row.tag, TAG]);
  await overlapping.open([TAG]);
  await overlapping.close(new Set([TAG]));

  const witness = await Witness.of(reader, [TAG]);
  // Here its factory reads what was before, and here the writer commits.
  const { promise: isReleased, resolve: release } = Promise.withResolvers<void>();
  held = (key, value) => (key.endsWith(TAG) && !isOpen(String(value)) ? isReleased : undefined);
  const closing = writer.close(new Set([row.tag, TAG]));
  await soon(async () => !isOpen(await reader.read(row.tag)));
  expect(await witness.swear([], [row], undefined)).toBeUndefined();
  release();
  await closing;
});
