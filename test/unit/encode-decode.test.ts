import { describe, expect, test } from '@jest/globals';
import { createContext, runInContext } from 'node:vm';
import { decode } from '../../src/codec/decode.ts';
import { encode } from '../../src/codec/encode.ts';
import { DEFAULT_LIMITS } from '../../src/codec/limits.ts';
import { ByReferenceError } from '../../src/errors.ts';
import type { JsonValue } from '../../src/wire/json.ts';
import { EntityToken } from '../../src/wire/token.ts';
import { hostileShapes } from '../../fixtures/hostile.ts';
import { convertedSamples, valueSamples } from '../../fixtures/values.ts';
import { noClasses, noEntities } from '../support/hooks.ts';

const encoded = (value: unknown): JsonValue => encode(value, noEntities);
const decoded = (json: unknown): unknown => decode(json, noClasses).fill();

function failure(run: () => unknown): ByReferenceError {
  try {
    run();
  } catch (error) {
    if (error instanceof ByReferenceError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

describe('values', () => {
  test.each(valueSamples)('$name is on the wire as pinned', ({ value, wire }) => {
    expect(encoded(value)).toStrictEqual(wire);
  });

  test.each(valueSamples)('$name comes back through text', ({ value }) => {
    const back = decoded(JSON.parse(JSON.stringify(encoded(value))));
    expect(back).toStrictEqual(value);
    expect(encoded(back)).toStrictEqual(encoded(value));
  });

  test.each(convertedSamples)('$name comes back plain', ({ value, wire, back }) => {
    expect(encoded(value)).toStrictEqual(wire);
    expect(decoded(wire)).toStrictEqual(back);
  });

  test('a token passed as a value comes back a token', () => {
    const token = new EntityToken('User', [7, 'a'], { schema: 't1', version: 4 });
    expect(encoded({ token })).toStrictEqual({ token: { $token: ['User', [7, 'a'], { schema: 't1', version: 4 }] } });
    const back = decoded(encoded({ token })) as { token: EntityToken };
    expect(back.token).toBeInstanceOf(EntityToken);
    expect(back.token.equals(token)).toBe(true);
    expect(back.token.version).toBe(4);
  });

  test('objects of another realm are recognised', () => {
    const foreign: unknown = runInContext(
      '({ a: [new Date(0)], m: new Map([[1, new Set([2])]]), b: Uint8Array.of(1) })',
      createContext({}),
    );
    expect(encoded(foreign)).toStrictEqual({
      a: [{ $date: '1970-01-01T00:00:00.000Z' }],
      m: { $map: [[1, { $set: [2] }]] },
      b: { $bytes: 'AQ==' },
    });
  });

  test('the same object twice is no cycle', () => {
    const shared = { a: 1 };
    expect(encoded([shared, shared])).toStrictEqual([{ a: 1 }, { a: 1 }]);
  });

  test('encoding and decoding leave their input alone', () => {
    const value = Object.freeze({ $a: Object.freeze([1, Object.freeze(new Date(0))]) });
    const wire = encoded(value) as { $$a: unknown[] };
    Object.freeze(wire);
    Object.freeze(wire.$$a);
    expect(decoded(wire)).toStrictEqual({ $a: [1, new Date(0)] });
  });
});

class Money {
  readonly amount = 1;
}
class Deadline extends Date {}
class Registry extends Map<string, string> {}
class List extends Array<number> {}

const having = <T extends object>(value: T, key: PropertyKey, enumerable = true): T =>
  Object.defineProperty(value, key, { value: 1, enumerable });

/** Each kind of object that travels as more than its own properties. */
const builtIns: readonly (readonly [string, () => object])[] = [
  ['an array', () => [1, 2]],
  ['an array with holes', () => Array(3)],
  ['an empty array', () => []],
  ['a Date', () => new Date(0)],
  ['a Map', () => new Map([[1, 2]])],
  ['a Set', () => new Set([1])],
  ['bytes', () => Uint8Array.of(1)],
  ['a Buffer', () => Buffer.of(1, 2)],
  ['a URL', () => new URL('https://example.org/')],
  ['another realm’s array', () => runInContext('[1]', createContext({})) as object],
  ['another realm’s bytes', () => runInContext('Uint8Array.of(1)', createContext({})) as object],
];

/** So long that hidden names are not looked for. */
const longOnes: readonly (readonly [string, () => object])[] = [
  ['a long array', () => Array.from({ length: 1_000 }, (_, index) => ({ index }))],
  ['a long array with holes', () => Object.assign(Array(1_000), { 7: Number.NaN })],
  ['many bytes', () => new Uint8Array(1_000_000)],
  ['a long Buffer', () => Buffer.alloc(1_000)],
];

describe('what has no place on the wire is refused, not dropped', () => {
  for (const [name, make] of [...builtIns, ...longOnes]) {
    test(`with ${name}`, () => {
      expect(() => encoded({ a: make() })).not.toThrow();
      for (const key of ['extra', '-1', '1.5', '4294967295', '__proto__', 'length2', Symbol('tag')]) {
        // Bytes have no place for such numbers at all.
        if (/ytes|Buffer/.test(name) && /\d/.test(String(key)) && key !== 'length2') continue;
        for (const enumerable of builtIns.some(([short]) => short === name) ? [true, false] : [true]) {
          const error = failure(() => encoded({ a: having(make(), key, enumerable) }));
          expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$.a']);
          expect(error.message).toContain(typeof key === 'symbol' ? 'Symbol(tag)' : `"${key}"`);
        }
      }
    });
  }

  test('with an object', () => {
    for (const key of ['hidden', Symbol('tag')]) {
      const error = failure(() => encoded({ a: having({ b: 1 }, key, false) }));
      expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$.a']);
    }
    expect(failure(() => encoded({ set a(_value: unknown) {} })).path).toBe('$.a');
  });

  test('a match of a regular expression says what it would lose', () => {
    expect(failure(() => encoded([/b/.exec('abc')])).message).toContain('The property "index" of an array at $[0]');
  });
});

const cycle: { self?: unknown } = {};
cycle.self = { deep: [cycle] };
const cyclicMap = new Map<string, unknown>();
cyclicMap.set('me', cyclicMap);

describe('serialize refuses what could not come back', () => {
  const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)]);

  test.each<[string, unknown, string, string]>([
    ['a function', { a: [() => 1] }, 'E_UNSERIALIZABLE', '$.a[0]'],
    ['a symbol', { a: Symbol('x') }, 'E_UNSERIALIZABLE', '$.a'],
    ['a promise', { a: Promise.resolve(1) }, 'E_UNSERIALIZABLE', '$.a'],
    ['a class instance', { price: new Money() }, 'E_UNSERIALIZABLE', '$.price'],
    ['a class instance in a Map', new Map([['a', new Money()]]), 'E_UNSERIALIZABLE', "$['$map'][0][1]"],
    [
      'an instance with toJSON',
      {
        a: {
          b: new (class Point {
            toJSON() {
              return 1;
            }
          })(),
        },
      },
      'E_UNSERIALIZABLE',
      '$.a.b',
    ],
    ['a subclass of Date', [new Deadline()], 'E_UNSERIALIZABLE', '$[0]'],
    ['a subclass of Map', new Registry(), 'E_UNSERIALIZABLE', '$'],
    ['a subclass of Array', { list: List.from([1]) }, 'E_UNSERIALIZABLE', '$.list'],
    ['an invalid Date', [1, new Date(Number.NaN)], 'E_UNSERIALIZABLE', '$[1]'],
    ['another typed array', { a: Float64Array.of(1) }, 'E_UNSERIALIZABLE', '$.a'],
    ['an ArrayBuffer', new ArrayBuffer(1), 'E_UNSERIALIZABLE', '$'],
    ['a boxed primitive', [new String('x')], 'E_UNSERIALIZABLE', '$[0]'],
    ['a RegExp', { a: /x/ }, 'E_UNSERIALIZABLE', '$.a'],
    ['an Error', { a: new Error('x') }, 'E_UNSERIALIZABLE', '$.a'],
    ['a WeakMap', new WeakMap(), 'E_UNSERIALIZABLE', '$'],
    ['symbol keys', { a: { [Symbol('x')]: 1 } }, 'E_UNSERIALIZABLE', '$.a'],
    [
      'an accessor',
      {
        a: {
          get b() {
            return 1;
          },
        },
      },
      'E_UNSERIALIZABLE',
      '$.a.b',
    ],
    ['an object on a prototype of its own', { a: Object.create({ b: 1 }) as unknown }, 'E_UNSERIALIZABLE', '$.a'],
    ['a cycle', cycle, 'E_UNSERIALIZABLE', '$.self.deep[0]'],
    ['a cycle through a Map', cyclicMap, 'E_UNSERIALIZABLE', "$['$map'][0][1]"],
    ['a look-alike of a URL', { [Symbol.toStringTag]: 'URL', href: 'x:y' }, 'E_UNSERIALIZABLE', '$'],
    ['a key that needs quoting in its path', { "it's": { 'a b': /x/ } }, 'E_UNSERIALIZABLE', "$['it\\'s']['a b']"],
    ['too deep a value', deep(201), 'E_LIMIT', `$${'[0]'.repeat(200)}`],
    ['an endless nest', deep(5_000), 'E_LIMIT', `$${'[0]'.repeat(200)}`],
  ])('%s', (_name, value, code, path) => {
    const error = failure(() => encoded(value));
    expect({ code: error.code, path: error.path, retryable: error.retryable }).toEqual({
      code,
      path,
      retryable: false,
    });
    expect(error.message).toContain(path);
  });

  test('what is written is readable under the same limits', () => {
    for (const leaf of [1n, undefined, Number.NaN, 'a\0', new Date(0), new Map()]) {
      expect(failure(() => encode([[leaf]], noEntities, { ...DEFAULT_LIMITS, depth: 2 })).code).toBe('E_LIMIT');
      expect(
        decode(encode([[leaf]], noEntities, { ...DEFAULT_LIMITS, depth: 3 }), noClasses, {
          ...DEFAULT_LIMITS,
          depth: 3,
        }).fill(),
      ).toEqual([[leaf]]);
    }
  });

  test('too many values', () => {
    expect(failure(() => encode([1, 2, 3], noEntities, { ...DEFAULT_LIMITS, nodes: 3 })).code).toBe('E_LIMIT');
    expect(encode([1, 2], noEntities, { ...DEFAULT_LIMITS, nodes: 3 })).toEqual([1, 2]);
  });
});

describe('hostile payloads', () => {
  test.each(hostileShapes)('$name is $code', ({ data, code }) => {
    const error = failure(() => decode({ nested: [data] }, noClasses));
    expect(error.code).toBe(code);
    expect(error.path).toMatch(/^\$/);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  test.each([undefined, () => 1, Symbol('x'), 1n, new Date(), Number.NaN, [1, undefined]])(
    'what is no JSON is refused: %p',
    (data) => {
      expect(failure(() => decode({ data }, noClasses)).code).toBe('E_MALFORMED');
    },
  );

  test('the path says where', () => {
    expect(failure(() => decode({ a: [0, { $map: [[1, { $date: 1 }]] }] }, noClasses)).path).toBe(
      "$.a[1]['$map'][0][1]['$date']",
    );
  });

  test('an unknown tag is answered with the known ones', () => {
    expect(failure(() => decode({ $regexp: 'x' }, noClasses)).message).toContain(
      '$entity, $token, $value, $snapshot, $date, $map',
    );
  });

  test('limits are options', () => {
    expect(failure(() => decode([[1]], noClasses, { ...DEFAULT_LIMITS, depth: 1 })).message).toContain('limits.depth');
    expect(failure(() => decode([1, 2], noClasses, { ...DEFAULT_LIMITS, nodes: 2 })).message).toContain('limits.nodes');
    expect(
      failure(() => decode([{ $entity: ['A', 1] }], noClasses, { ...DEFAULT_LIMITS, tokens: 0 })).message,
    ).toContain('limits.tokens');
  });
});
