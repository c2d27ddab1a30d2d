import { expect, test } from '@jest/globals';
import { stampKey } from '../../src/cache/cache-key.ts';
import { isWithin, readRecord, writeRecord } from '../../src/cache/record.ts';

test('a long key is a digest, which no short key can look like', () => {
  const long = 'é'.repeat(161);
  expect(stampKey('row:["User",1]')).toBe('byref:tag:row:["User",1]');
  expect(stampKey(long)).toMatch(/^byref:tag:é{96}#[\w-]{86}$/);
  expect(stampKey(`${long}a`)).not.toBe(stampKey(long));
  expect(stampKey(stampKey(long).slice('byref:tag:'.length))).not.toBe(stampKey(long));
});

const rest = { expiresAt: 2, stamps: { 'model:User': 'a' } };

test.each([
  [{ a: ['$5'] }, { payload: { $byref: 1, data: { a: ['$5'] } } }],
  [{ a: ['5$'] }, { plain: { a: ['5$'] } }],
  [null, { plain: null }],
  [{ $date: '2026' }, { payload: { $byref: 1, data: { $date: '2026' } } }],
])('%j is stored as %j', (data, stored) => {
  const record = writeRecord({ $byref: 1, data } as never, rest);
  expect(record).toEqual({ ...stored, ...rest });
  expect(readRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
});

test.each([
  undefined,
  null,
  1,
  'text',
  [],
  {},
  { plain: 1 },
  { payload: 1, ...rest },
  { plain: 1, ...rest, stamps: [] },
  { plain: 1, expiresAt: 2 },
  { plain: 1, startedAt: 1, expiresAt: 2, tags: ['model:User'] },
])('%j is no record', (stored) => {
  expect(readRecord(stored)).toBeUndefined();
});

test('an entry without an end has none, and a grace period follows one', () => {
  expect(isWithin({ expiresAt: null, stamps: {} })).toBe(true);
  const past = { expiresAt: Date.now() - 1_000, stamps: {} };
  expect([isWithin(past), isWithin(past, 60_000)]).toEqual([false, true]);
});
