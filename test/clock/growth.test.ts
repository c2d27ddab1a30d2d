/** What happens to a payload before the first query takes time in proportion to its length, whatever is in it. */
import { expect, test } from '@jest/globals';
import { ByReferenceError, type JsonValue } from 'mikro-orm-byref';
import { User } from '../../fixtures/domain.ts';
import { CharKey, DecimalKey, OrderLine, TextKey } from '../../fixtures/keys.ts';
import { findPayloads } from '../../src/cli/input.ts';
import { envelope, PAYLOAD_CASES, read, repeated, serializer } from '../support/payload-cases.ts';

/** For 16 times the length: 16 is in proportion, 256 its square. Garbage that survives once costs up to thrice more. */
const MOST = 90;

/** CPU time at 64 kB and 1 MB, and how much the one is of the other. */
async function measure<Input>(make: (bytes: number) => Input, run: (input: Input) => unknown): Promise<number> {
  const seconds: number[] = [];
  for (const bytes of [64_000, 1_024_000]) {
    const input = make(bytes);
    let least = Infinity;
    for (let sample = 0; sample < 3; sample++) {
      const before = process.cpuUsage();
      await run(input);
      const { user, system } = process.cpuUsage(before);
      least = Math.min(least, (user + system) / 1e6);
    }
    // What takes less is not measured but noise.
    seconds.push(Math.max(least, 0.002));
  }
  return seconds[1]! / seconds[0]!;
}

/** The least of up to three: a busy machine only adds. What is quadratic takes 256 times as long each time. */
async function growth<Input>(
  make: (bytes: number) => Input,
  run: (input: Input) => unknown,
  most = MOST,
): Promise<number> {
  let least = Infinity;
  for (let attempt = 0; attempt < 3 && least >= most; attempt++) least = Math.min(least, await measure(make, run));
  return least;
}

test.each(Object.entries(PAYLOAD_CASES))('%s', async (_name, { make, options }) => {
  expect(await growth(make, (data) => read(envelope(data), options))).toBeLessThan(MOST);
});

test.each(Object.entries(PAYLOAD_CASES))('%s, inspected', async (_name, { make }) => {
  expect(await growth(make, (data) => serializer.inspect(envelope(data)))).toBeLessThan(MOST);
});

test('payloads below a long key, found by the command', async () => {
  const make = (bytes: number): string =>
    JSON.stringify({ [' '.repeat(bytes / 2)]: repeated(() => ({ $byref: 1, data: 1 }), bytes / 2) });
  expect(await growth(make, findPayloads)).toBeLessThan(MOST);
});

test.each<[string, (bytes: number) => JsonValue]>([
  ['a long text', (bytes) => 'x'.repeat(bytes)],
  ['many parts', (bytes) => repeated(() => 1, bytes)],
  ['digits', (bytes) => ({ $bigint: '9'.repeat(bytes) })],
  ['bytes', (bytes) => ({ $bytes: 'AAAA'.repeat(bytes / 4) })],
  ['blanks', (bytes) => `${' '.repeat(bytes)}x`],
  ['zeros', (bytes) => `1.${'0'.repeat(bytes)}1`],
])('the text of a token whose key is %s', async (_name, key) => {
  for (const model of [User, TextKey, CharKey, DecimalKey, OrderLine]) {
    const make = (bytes: number): string => Buffer.from(JSON.stringify([model.name, key(bytes)])).toString('base64url');
    const locate = (text: string): unknown =>
      serializer
        .locate(text, { only: [model], em: serializer.orm.em.fork(), freshness: 'lazy' })
        .catch((error: unknown) => expect(error).toBeInstanceOf(ByReferenceError));
    expect(await growth(make, locate)).toBeLessThan(MOST);
  }
});

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

test('rows of as many schemas', async () => {
  const make = (bytes: number): JsonValue =>
    repeated((index) => ({ $entity: ['User', index, { schema: `tenant_${index}` }] }), bytes);
  const decode = (data: JsonValue): unknown => {
    const em = serializer.orm.em.fork();
    return serializer.decode(envelope(data), { em, freshness: 'lazy', schemas: () => true });
  };
  expect(await growth(make, decode)).toBeLessThan(MOST);
});

test('keys that meet in one bucket', async () => {
  const keys = meetingKeys();
  const make = (bytes: number): JsonValue => repeated((index) => ({ $entity: ['User', keys[index]!] }), bytes);
  const decode = (data: JsonValue): unknown =>
    serializer.decode(envelope(data), { em: serializer.orm.em.fork(), freshness: 'lazy' });
  // As numbers they took 64 times as long.
  expect(await growth(make, decode, 40)).toBeLessThan(40);
});
