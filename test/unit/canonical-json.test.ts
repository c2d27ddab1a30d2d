import { expect, test } from '@jest/globals';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { ByReferenceError } from '../../src/errors.ts';
import { canonicalJson } from '../../src/wire/canonical-json.ts';
import { type JsonObject, type JsonValue, setOwn } from '../../src/wire/json.ts';

/** RFC 8785, appendix B: the 64 bits of a number, and its text. */
const numbers: readonly [string, string][] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
];

test.each(numbers)('the number 0x%s is %s', (bits, text) => {
  const number = Buffer.from(bits, 'hex').readDoubleBE();
  expect(canonicalJson(number)).toBe(text);
});

/** RFC 8785, section 3.2, and the documents that its authors test implementations with. */
const documents: readonly [string, string, string][] = [
  [
    'literals, numbers and strings',
    String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
  ],
  [
    'keys by code units',
    String.raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
    `{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","\u{1f600}":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}`,
  ],
  ['arrays', '[56,{"d":true,"10":null,"1":[]}]', '[56,{"1":[],"10":null,"d":true}]'],
  [
    'integer-like keys',
    String.raw`{"1":{"f":{"f":"hi","F":5},"\n":56.0},"10":{},"":"empty","a":{},"9":2,"111":[{"e":"yes","E":"no"}],"A":{}}`,
    String.raw`{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"9":2,"A":{},"a":{}}`,
  ],
  ['no locale', '{"peach":1,"péché":2,"pêche":3,"sin":4}', '{"peach":1,"péché":2,"pêche":3,"sin":4}'],
  ['no normal form of Unicode', '{"a":"A\u030a"}', '{"a":"A\u030a"}'],
];

test.each(documents)('%s', (_name, document, canonical) => {
  expect(canonicalJson(JSON.parse(document) as JsonValue)).toBe(canonical);
});

const key = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.nat().map(String),
  fc.bigInt({ min: 0n, max: 2n ** 65n }).map(String),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toJSON',
    'length',
    '',
    '-0',
    '00',
    '1e3',
    '9',
    '10',
    '\u{1f600}',
    '\ufb33',
  ),
);

const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.tuple(fc.integer(), fc.integer({ min: -330, max: 290 })).map(([digits, power]) => Number(`${digits}e${power}`)),
);

const { object } = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    number,
    key,
    fc.constantFrom(null, true, false),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.array(fc.tuple(key, tie('value')), { maxLength: 6 }).map((entries) => {
    const made = {};
    for (const [name, value] of entries) setOwn(made, name, value);
    return made;
  }),
}));

test('10,000 objects read as a second implementation writes them, and mean what they did', () => {
  fc.assert(
    fc.property(object, (made) => {
      const text = canonicalJson(made);
      // Not by expect() each time, which takes longer than all the rest.
      if (text !== canonicalize(made)) expect(text).toBe(canonicalize(made));
      if (canonicalJson(JSON.parse(text) as JsonValue) !== text) throw new Error(`is no JSON of itself: ${text}`);
    }),
    { numRuns: 10_000 },
  );
});

test('what is no I-JSON is refused', () => {
  const values = [
    Number.NaN,
    Infinity,
    '\ud800',
    { '\udc00': 1 },
    1n,
    undefined,
    () => 1,
    Symbol('x'),
    new Date(),
    Array(1),
  ];
  for (const value of values) {
    expect(() => canonicalJson({ list: [value] } as never)).toThrow(
      expect.objectContaining({ constructor: ByReferenceError, code: 'E_MALFORMED' }),
    );
  }
});

test('an object’s own toJSON is data', () => {
  expect(canonicalJson({ toJSON: 'x', a: 1 })).toBe('{"a":1,"toJSON":"x"}');
});

test('depth is bounded, at the depth that a signature is verified to', () => {
  const nested = (levels: number): JsonValue =>
    JSON.parse(`${'{"a":['.repeat(levels / 2)}${']}'.repeat(levels / 2)}`) as JsonValue;
  expect(canonicalJson(nested(4_000), 4_000)).toHaveLength(16_000);
  expect(() => canonicalJson(nested(4_002), 4_000)).toThrow(expect.objectContaining({ code: 'E_LIMIT' }));
  expect(() => canonicalJson(nested(10_000), 4_000)).toThrow(expect.objectContaining({ code: 'E_LIMIT' }));
});
