import assert from 'node:assert/strict';
import { inspect, isDeepStrictEqual } from 'node:util';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { describe, expect, jest, test } from '@jest/globals';
import { EntityToken, type KeyValue } from 'mikro-orm-byref';
import { failureOf } from '../support/failure.ts';

const keys: readonly (KeyValue | readonly KeyValue[])[] = [
  1,
  '1',
  true,
  1n,
  new Date(0),
  Uint8Array.of(1),
  '',
  'John Doe-Smith/Jones',
  ['', 'x'],
  ['x', ''],
  ['a/b', 'c'],
  ['a', 'b/c'],
  [1, '1'],
  ['1', 1],
  [1n, new Date(0), Uint8Array.of(1, 2)],
  Array.from({ length: 25 }, (_, index) => index),
];

describe('a token', () => {
  test.each(keys)('keeps the type of its key: %p', (key) => {
    const token = new EntityToken('User', key);
    expect(token.primaryKey).toEqual(key);
    const back = EntityToken.parse(token.toString());
    expect(back.primaryKey).toEqual(key);
    expect(back.equals(token)).toBe(true);
    expect(token.toString()).toMatch(/^[\w-]+$/);
  });

  test('has a bigint of at most 10,000 digits, which no column has', async () => {
    const text = (digits: number): string =>
      Buffer.from(JSON.stringify(['User', { $bigint: '9'.repeat(digits) }])).toString('base64url');
    expect(EntityToken.parse(text(10_000)).primaryKey).toBe(10n ** 10_000n - 1n);
    for (const digits of [10_001, 20_000_000]) {
      expect((await failureOf(() => EntityToken.parse(text(digits)))).code).toBe('E_MALFORMED');
    }
  });

  test('tells all of these keys apart', () => {
    expect(new Set(keys.map((key) => new EntityToken('User', key).toString())).size).toBe(keys.length);
  });

  test('has its forms pinned', () => {
    const token = new EntityToken('User', 1);
    expect(token.toString()).toBe('WyJVc2VyIiwxXQ');
    expect(JSON.stringify(token)).toBe('{"$token":["User",1]}');
    const detailed = new EntityToken('OrderLine', [7n, 'a'], { schema: 't1', version: new Date(0) });
    expect(JSON.stringify(detailed)).toBe(
      '{"$token":["OrderLine",[{"$bigint":"7"},"a"],{"schema":"t1","version":{"$date":"1970-01-01T00:00:00.000Z"}}]}',
    );
    expect(EntityToken.parse(detailed.toString())).toMatchObject({
      model: 'OrderLine',
      schema: 't1',
      version: new Date(0),
    });
  });

  test('equals by row: model, key and schema, not version', () => {
    const token = new EntityToken('User', 1, { version: 1 });
    expect(token.equals(new EntityToken('User', 1, { version: 2 }))).toBe(true);
    for (const other of [
      new EntityToken('User', 2),
      new EntityToken('Post', 1),
      new EntityToken('User', '1'),
      new EntityToken('User', 1, { schema: 't' }),
    ]) {
      expect(token.equals(other)).toBe(false);
    }
    for (const other of [null, undefined, 1, token.toString(), { model: 'User', primaryKey: 1 }])
      expect(token.equals(other)).toBe(false);
  });

  test('can not be changed through what it gives out', () => {
    const token = new EntityToken('User', [new Date(0), Uint8Array.of(1)], { version: new Date(0) });
    const before = JSON.stringify(token);
    const [date, bytes] = token.primaryKey as [Date, Uint8Array];
    date.setTime(1);
    bytes[0] = 2;
    (token.version as Date).setTime(1);
    expect(JSON.stringify(token)).toBe(before);
    for (const name of ['model', 'primaryKey', 'schema', 'version', 'other'])
      expect(() => Object.assign(token, { [name]: 2 })).toThrow(TypeError);
    expect(JSON.stringify(token)).toBe(before);
  });

  test.each<[string, () => unknown]>([
    ['a key in its wire form', () => new EntityToken('User', { $bigint: '1' } as never)],
    ['an empty model', () => new EntityToken('', 1)],
    ['an invalid date', () => new EntityToken('User', new Date(Number.NaN))],
    ['null', () => new EntityToken('User', null as never)],
    ['an object', () => new EntityToken('User', { $ne: 1 } as never)],
    ['NaN', () => new EntityToken('User', Number.NaN)],
    ['one part', () => new EntityToken('User', [1])],
    ['a version that is no integer', () => new EntityToken('User', 1, { version: 0.5 })],
    ['null for details', () => new EntityToken('User', 1, null as never)],
    ['a schema for details', () => new EntityToken('User', 1, 't1' as never)],
    ['a version for details', () => new EntityToken('User', 1, 4 as never)],
    ['a date for details', () => new EntityToken('User', 1, new Date(0) as never)],
    ['a list for details', () => new EntityToken('User', 1, [] as never)],
    ['a detail of another name', () => new EntityToken('User', 1, { vresion: 4 } as never)],
    ['null as schema', () => new EntityToken('User', 1, { schema: null as never })],
    ['a text as version', () => new EntityToken('User', 1, { version: '4' as never })],
    ['an empty text', () => EntityToken.parse('')],
    ['garbage', () => EntityToken.parse('gid://app/User/1')],
    ['JSON of another shape', () => EntityToken.parse(Buffer.from('{"model":"User"}').toString('base64url'))],
    ['a token in another spelling', () => EntityToken.parse(Buffer.from('["User", 1]').toString('base64url'))],
    ['a token with padding', () => EntityToken.parse(`${new EntityToken('User', 12).toString()}=`)],
  ])('%s is malformed', async (_name, make) => {
    expect((await failureOf(make)).code).toBe('E_MALFORMED');
  });
});

/** Tokens of different facts. */
const distinct = [
  ...keys.map((key) => new EntityToken('User', key)),
  new EntityToken('Post', 1),
  new EntityToken('User', 1, { schema: 't1' }),
  new EntityToken('User', 1, { version: 0 }),
  new EntityToken('User', 1, { version: new Date(0) }),
  new EntityToken('User', 1, { schema: 't1', version: 0 }),
];

/** Says whether two values are deeply equal, as those see it who compare in tests. */
const comparisons: [string, (a: unknown, b: unknown) => boolean][] = [
  ["node's isDeepStrictEqual", isDeepStrictEqual],
  ["node's assert", (a, b) => passes(() => assert.deepStrictEqual(a, b))],
  ["Jest's toEqual", (a, b) => passes(() => expect(a).toEqual(b))],
  ["Jest's toStrictEqual", (a, b) => passes(() => expect(a).toStrictEqual(b))],
];

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

describe("a token's facts are its own enumerable properties", () => {
  test.each(comparisons)('%s takes tokens for equal where all facts are', (_name, areEqual) => {
    for (const [index, token] of distinct.entries()) {
      const equal = distinct.map((other) => areEqual(token, EntityToken.parse(other.toString())));
      expect(equal).toEqual(distinct.map((_other, at) => at === index));
    }
  });

  test('what the wire does not tell apart is equal', () => {
    const [zero, negative] = [0, -0].map((n) => new EntityToken('User', n, { version: n }));
    expect(isDeepStrictEqual(zero, negative)).toBe(true);
    expect(
      isDeepStrictEqual(
        new EntityToken('User', Buffer.from('a')),
        new EntityToken('User', new TextEncoder().encode('a')),
      ),
    ).toBe(true);
  });

  test('two copies of the package know the tokens of each other', async () => {
    jest.resetModules();
    const { EntityToken: Copy } = await import('../../src/wire/token.ts');
    expect(Copy).not.toBe(EntityToken);
    for (const token of distinct) {
      const copy = Copy.from(token);
      expect([copy.equals(token), token.equals(copy)]).toEqual([true, true]);
      expect(isDeepStrictEqual(EntityToken.from(copy), token)).toBe(true);
    }
  });

  test('in their order, and nothing else', () => {
    for (const token of distinct) expect(Object.keys(token)).toEqual(['model', 'primaryKey', 'schema', 'version']);
    expect({ ...new EntityToken('User', 1, { schema: 't1', version: 3 }) }).toEqual({
      model: 'User',
      primaryKey: 1,
      schema: 't1',
      version: 3,
    });
  });

  test.each<[EntityToken, string]>([
    [new EntityToken('User', 1), "EntityToken('User', 1)"],
    [new EntityToken('OrderLine', [7n, 'a']), "EntityToken('OrderLine', [ 7n, 'a' ])"],
    [new EntityToken('User', 'x', { schema: 't1' }), "EntityToken('User', 'x', { schema: 't1' })"],
    [
      new EntityToken('User', 1, { version: new Date(0) }),
      "EntityToken('User', 1, { version: 1970-01-01T00:00:00.000Z })",
    ],
    [new EntityToken('User\n\u001b[31m', 1), "EntityToken('User\\n\\x1B[31m', 1)"],
  ])('the console shows them in one line: %s', (token, line) => {
    expect(inspect(token)).toBe(line);
    expect(inspect({ deep: { inside: [[token]] } }, { depth: 9 })).toContain(line);
    const many = Array.from({ length: 25 }, () => 'a key of some length');
    expect(inspect(new EntityToken('User', many))).not.toContain('\n');
  });
});

describe('EntityToken.from', () => {
  const posted = (value: unknown): unknown => {
    const { port1, port2 } = new MessageChannel();
    port1.postMessage(value);
    const { message } = receiveMessageOnPort(port2) as { message: unknown };
    port1.close();
    return message;
  };

  test.each<[string, (token: EntityToken) => unknown]>([
    ['a token', (token) => token],
    ['a structured clone', (token) => structuredClone(token)],
    ['what another thread was sent', posted],
    ['a spread copy', (token) => ({ ...token })],
    ['its own JSON', (token) => JSON.parse(JSON.stringify(token))],
  ])('takes back %s', (_name, copy) => {
    for (const token of distinct) {
      const back = EntityToken.from(copy(token));
      expect(back).toBeInstanceOf(EntityToken);
      expect(isDeepStrictEqual(back, token)).toBe(true);
    }
  });

  test('a structured clone is plain data', () => {
    const clone = structuredClone(new EntityToken('OrderLine', [7n, 'a'], { version: 3 }));
    expect(clone).not.toBeInstanceOf(EntityToken);
    expect(clone).toEqual({ model: 'OrderLine', primaryKey: [7n, 'a'], version: 3 });
  });

  test('the JSON of a clone is taken where JSON has kept the types', () => {
    const copied = (token: EntityToken): unknown => JSON.parse(JSON.stringify({ ...token }));
    const token = new EntityToken('User', ['a', 1, true], { schema: 't1', version: 3 });
    expect(isDeepStrictEqual(EntityToken.from(copied(token)), token)).toBe(true);
    expect(() => EntityToken.from(copied(new EntityToken('User', 1, { version: new Date(0) })))).toThrow(/version/);
    expect(() => EntityToken.from(copied(new EntityToken('User', Uint8Array.of(1))))).toThrow(/key/);
  });

  test('takes facts of their own only, whatever a prototype has, and reads each once', () => {
    const prototype = Object.prototype as Record<string, unknown>;
    const evil = { model: 'Admin', primaryKey: 9, schema: 'evil', version: 7 };
    const made: EntityToken[] = [];
    const refused: unknown[] = [];
    try {
      Object.assign(prototype, evil);
      made.push(new EntityToken('User', 1), EntityToken.parse('WyJVc2VyIiwxXQ'));
      for (const plain of [{ model: 'User', primaryKey: 1 }, { $token: ['User', 1] }])
        made.push(EntityToken.from(plain));
      for (const nothing of [{}, { model: 'User' }, { primaryKey: 1 }, Object.create({ model: 'User', primaryKey: 1 })])
        refused.push(passes(() => EntityToken.from(nothing)));
    } finally {
      for (const name of Object.keys(evil)) delete prototype[name];
    }
    for (const token of made) expect(isDeepStrictEqual(token, new EntityToken('User', 1))).toBe(true);
    expect([made.length, refused]).toEqual([4, [false, false, false, false]]);
    let reads = 0;
    const counting = {
      model: 'User',
      get primaryKey() {
        return ++reads;
      },
    };
    expect([EntityToken.from(counting).primaryKey, reads]).toEqual([1, 1]);
    expect(() => EntityToken.from(JSON.parse('{"model":"User","primaryKey":1,"__proto__":{"schema":"a"}}'))).toThrow();
    expect(() => EntityToken.from(JSON.parse('{"$token":["User",1,{"__proto__":{"schema":"a"}}]}'))).toThrow(
      /__proto__/,
    );
    const bare = Object.assign(Object.create(null), { model: 'User', primaryKey: 1 });
    expect(isDeepStrictEqual(EntityToken.from(bare), new EntityToken('User', 1))).toBe(true);
  });

  const facts = { model: 'User', primaryKey: 1 };
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 1],
    ['its text, which is for parse', new EntityToken('User', 1).toString()],
    ['a token body', ['User', 1]],
    ['an empty object', {}],
    ['no key', { model: 'User' }],
    ['no model', { primaryKey: 1 }],
    ['an empty model', { ...facts, model: '' }],
    ['a model with NUL', { ...facts, model: 'a\0' }],
    ['a model that is no text', { ...facts, model: ['User'] }],
    ['one more fact', { ...facts, key: 1 }],
    ['a symbol', { ...facts, [Symbol('x')]: 1 }],
    ['null as key', { ...facts, primaryKey: null }],
    ['an object as key', { ...facts, primaryKey: { $ne: 1 } }],
    ['a key in its wire form', { ...facts, primaryKey: { $bigint: '1' } }],
    ['a key of one part', { ...facts, primaryKey: [1] }],
    ['a key with a hole', { ...facts, primaryKey: [1, , 2] }], // oxlint-disable-line no-sparse-arrays
    ['a nested key', { ...facts, primaryKey: [1, [2, 3]] }],
    ['NaN as key', { ...facts, primaryKey: Number.NaN }],
    ['an invalid date as key', { ...facts, primaryKey: new Date(Number.NaN) }],
    ['a lone surrogate as key', { ...facts, primaryKey: '\ud800' }],
    ['a schema that is no text', { ...facts, schema: 1 }],
    ['an empty schema', { ...facts, schema: '' }],
    ['null as schema', { ...facts, schema: null }],
    ['a text as version', { ...facts, version: '1970-01-01T00:00:00.000Z' }],
    ['a version in its wire form', { ...facts, version: { $date: '1970-01-01T00:00:00.000Z' } }],
    ['a version that is no integer', { ...facts, version: 0.5 }],
    ['null as version', { ...facts, version: null }],
    ['an entity reference', { $entity: ['User', 1] }],
    ['a tag with something beside it', { $token: ['User', 1], model: 'User' }],
    ['a tag that holds no body', { $token: { ...facts } }],
    ['an instance of something else', Object.assign(new (class Other {})(), facts)],
  ])('refuses %s', async (_name, value) => {
    const error = await failureOf(() => EntityToken.from(value));
    expect([error.code, error.message]).toEqual(['E_MALFORMED', expect.stringMatching(/token|key/)]);
  });
});
