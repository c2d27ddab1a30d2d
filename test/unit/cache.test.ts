import { expect, test } from '@jest/globals';
import { stampKey } from '../../src/cache/cache-key.ts';
import { LogicalClock } from '../../src/cache/logical-clock.ts';
import { readRecord, writeRecord } from '../../src/cache/record.ts';

test('no two readings of the clock are equal, and it follows what it has observed', () => {
  const clock = new LogicalClock();
  const readings = Array.from({ length: 1_000 }, () => clock.now());
  expect(new Set(readings).size).toBe(1_000);
  expect(readings).toEqual(readings.toSorted((a, b) => a - b));
  expect(Math.abs(readings[0]! / 1_000 - Date.now())).toBeLessThan(1_000);
  const ahead = (Date.now() + 60_000) * 1_000;
  clock.observe(ahead);
  expect(clock.now()).toBe(ahead + 1);
  clock.observe(0);
  expect(clock.now()).toBe(ahead + 2);
});

test('a long key is a digest, which no short key can look like', () => {
  const long = 'é'.repeat(161);
  expect(stampKey('row:["User",1]')).toBe('byref:tag:row:["User",1]');
  expect(stampKey(long)).toMatch(/^byref:tag:é{96}#[\w-]{86}$/);
  expect(stampKey(`${long}a`)).not.toBe(stampKey(long));
  expect(stampKey(stampKey(long).slice('byref:tag:'.length))).not.toBe(stampKey(long));
});

const instants = { startedAt: 1, expiresAt: 2 };

test.each([
  [{ a: ['$5'] }, { payload: { $byref: 1, data: { a: ['$5'] } } }],
  [{ a: ['5$'] }, { plain: { a: ['5$'] } }],
  [null, { plain: null }],
  [{ $date: '2026' }, { payload: { $byref: 1, data: { $date: '2026' } } }],
])('%j is stored as %j', (data, stored) => {
  const record = writeRecord({ $byref: 1, data } as never, new Set(), instants);
  expect(record).toEqual({ ...stored, ...instants });
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
  { payload: 1, ...instants },
  { plain: 1, ...instants, tags: 1 },
])('%j is no record', (stored) => {
  expect(readRecord(stored)).toBeUndefined();
});
