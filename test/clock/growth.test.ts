/** What happens to a payload before the first query takes time in proportion to its length, whatever is in it. */
import 'reflect-metadata';
import { expect, test } from '@jest/globals';
import { Expose, Type } from 'class-transformer';
import { ByReference, ByReferenceError, EntitySerializer, type JsonValue } from 'mikro-orm-byref';
import { domain, User } from '../../fixtures/domain.ts';
import { keys, keySamples } from '../../fixtures/keys.ts';
import { Money } from '../../fixtures/value-objects.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const serializer = new EntitySerializer(offlineOrm([...domain, ...keys]), {
  values: [Money],
  limits: { tokens: 1e6, nodes: 1e7 },
});

class Item {
  @ByReference(() => User)
  user!: User;
  @Expose()
  any: unknown;
}
class Order {
  @Type(() => Item)
  items: Item[] = [];
}

/** For 16 times the length: 16 is in proportion, 256 its square. Garbage that survives once costs up to thrice more. */
const MOST = 90;

const repeated = (item: (index: number) => JsonValue, bytes: number): JsonValue[] => {
  const length = JSON.stringify(item(0)).length + 1;
  return Array.from({ length: Math.ceil(bytes / length) }, (_, index) => item(index));
};
const nested = (levels: number, inner: JsonValue): JsonValue =>
  Array.from({ length: levels }).reduce<JsonValue>((json) => [json], inner);
const list =
  (item: (index: number) => JsonValue) =>
  (bytes: number): JsonValue =>
    repeated(item, bytes);
const user = (index: number): JsonValue => ({ $entity: ['User', index + 1] });

type Make = (bytes: number) => JsonValue;

const CASES: Readonly<Record<string, Make>> = {
  numbers: list((index) => index),
  'one text': (bytes) => 'x'.repeat(bytes),
  'many keys': (bytes) => Object.fromEntries(repeated((index) => [`key ${index}`, 1], bytes) as [string, JsonValue][]),
  'keys that start with $': (bytes) =>
    Object.fromEntries(repeated((index) => [`$$${index}`, 1], bytes) as [string, JsonValue][]),
  'deep arrays': list(() => nested(150, 1)),
  $date: list(() => ({ $date: '2026-11-25T00:00:00.000Z' })),
  $bigint: list(() => ({ $bigint: '9007199254740993' })),
  'long $bigint': list(() => ({ $bigint: '9'.repeat(9_000) })),
  $bytes: list(() => ({ $bytes: '3q2+7w==' })),
  'one $bytes': (bytes) => ({ $bytes: 'AAAA'.repeat(bytes / 4) }),
  $url: list(() => ({ $url: 'https://example.org/' })),
  'one $url': (bytes) => ({ $url: `https://example.org/${'a'.repeat(bytes)}` }),
  $number: list(() => ({ $number: 'NaN' })),
  $undefined: list(() => ({ $undefined: true })),
  $string: list(() => ({ $string: '\\u0000' })),
  'one $string': (bytes) => ({ $string: `\\u0000${'x'.repeat(bytes)}` }),
  $map: (bytes) => ({ $map: repeated((index) => [`key ${index}`, index], bytes) }),
  'many $map': list((index) => ({ $map: [['a', index]] })),
  $set: (bytes) => ({ $set: repeated((index) => `item ${index}`, bytes) }),
  $object: (bytes) => ({ $object: repeated((index) => [`key ${index}`, index], bytes) }),
  $token: list((index) => ({ $token: ['User', index] })),
  'value objects': list(() => ({ $value: ['Money', { amount: '1.50', currency: 'EUR' }] })),
  'deep value objects': list(() => nested(100, { $value: ['Money', { amount: '1.50' }] })),
  copies: list((index) => ({ $snapshot: ['User', { id: index }] })),
  'distinct rows': list(user),
  'deep references': list((index) => nested(150, user(index))),
  ...Object.fromEntries(
    keySamples.map(
      ({ model, wire }) => [`keys of ${model.name}`, list(() => ({ $entity: [model.name, wire] }))] as const,
    ),
  ),
  'long text keys': list(() => ({ $entity: ['TextKey', 'x'.repeat(9_000)] })),
  'keys of blanks': list(() => ({ $entity: ['CharKey', `${' '.repeat(9_000)}x`] })),
  'keys of zeros': list(() => ({ $entity: ['DecimalKey', `1.${'0'.repeat(9_000)}`] })),
};

const { imul } = Math;

/** Where V8's tables put a whole number, whatever the process: `ComputeUnseededHash` in its src/utils/utils.h. */
function hashOf(number: number): number {
  let hash = (~number + (number << 15)) | 0;
  hash ^= hash >>> 12;
  hash = (hash + (hash << 2)) | 0;
  hash ^= hash >>> 4;
  hash = imul(hash, 2057);
  return (hash ^ (hash >>> 16)) & 0x3f_ff_ff_ff;
}

/** Keys that meet in one bucket of 16,384, as many as the longest payload has. */
function meetingKeys(): readonly number[] {
  const keys: number[] = [];
  for (let key = 1; keys.length < 40_000; key++) if (hashOf(key) % 16_384 === 0) keys.push(key);
  return keys;
}

/** Everything up to the first query: the last token, of no model, stops it there. */
async function read(data: JsonValue, options: object): Promise<void> {
  try {
    await serializer.decode({ $byref: 1, data } as never, { em: serializer.orm.em.fork(), ...options });
  } catch (error) {
    if (error instanceof ByReferenceError && error.code === 'E_UNKNOWN_MODEL') return;
    throw error;
  }
}
const stopped = (data: JsonValue): JsonValue => [data, { $entity: ['Nobody', 1] }];

/** CPU time at 64 kB and 1 MB, and how much the one is of the other. */
async function measure(make: Make, options: object, end: typeof stopped): Promise<number> {
  const seconds: number[] = [];
  for (const bytes of [64_000, 1_024_000]) {
    const data = end(make(bytes));
    let least = Infinity;
    for (let sample = 0; sample < 3; sample++) {
      const before = process.cpuUsage();
      await read(data, options);
      const { user, system } = process.cpuUsage(before);
      least = Math.min(least, (user + system) / 1e6);
    }
    // What takes less is not measured but noise.
    seconds.push(Math.max(least, 0.002));
  }
  return seconds[1]! / seconds[0]!;
}

/** The least of up to three: a busy machine only adds. What is quadratic takes 256 times as long each time. */
async function growth(make: Make, options: object = {}, end = stopped, most = MOST): Promise<number> {
  let least = Infinity;
  for (let attempt = 0; attempt < 3 && least >= most; attempt++) {
    least = Math.min(least, await measure(make, options, end));
  }
  return least;
}

test.each(Object.entries(CASES))('%s', async (_name, make) => {
  expect(await growth(make)).toBeLessThan(MOST);
});

test('a DTO', async () => {
  const item = (index: number): JsonValue => ({ user: user(index), any: [1] });
  const end = (data: JsonValue): JsonValue => ({
    items: [...(data as JsonValue[]), { user: { $entity: ['Nobody', 1] }, any: 1 }],
  });
  expect(await growth(list(item), { as: Order }, end)).toBeLessThan(MOST);
});

test('keys that meet in one bucket', async () => {
  const keys = meetingKeys();
  const make = list((index) => ({ $entity: ['User', keys[index]!] }));
  // As numbers they took 64 times as long.
  expect(await growth(make, { freshness: 'lazy' }, (data) => data, 40)).toBeLessThan(40);
});
