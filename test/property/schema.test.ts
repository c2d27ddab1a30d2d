import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import type { JsonValue } from 'mikro-orm-byref';
import { decode, type DecodeHooks } from '../../src/codec/decode.ts';
import { DEFAULT_LIMITS } from '../../src/codec/limits.ts';
import { ByReferenceError } from '../../src/errors.ts';
import { cpuSeconds } from '../support/cpu.ts';
import { payloadData } from '../support/payloads.ts';

/** The wire schema and the decoder, each against the other. */
const schema = JSON.parse(readFileSync(new URL('../../schema/wire-v1.schema.json', import.meta.url), 'utf8')) as object;
const ajv = { strict: true, allowUnionTypes: true, strictTuples: false, strictTypes: false } as const;
const isValid = new Ajv2020(ajv).compile(schema);
/** As most validators of APIs are set up. */
const collectsAll = new Ajv2020({ ...ajv, allErrors: true }).compile(schema);

/** Names are for a registry to judge. */
const anyClass: DecodeHooks = { value: () => ({ make: (data) => data }), snapshot: () => ({ make: (data) => data }) };
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);

/** What the decoder refuses and a schema can't say, by the decoder's words. */
const BEYOND_A_SCHEMA: Readonly<Record<string, RegExp>> = {
  'a date that no calendar has': /date/,
  'an object with a key twice': /different strings as keys/,
  'a URL that is none': /URL/,
  'an integer that JavaScript rounds': /version is an integer/,
  'more levels than are admitted': /more than \d+ levels/,
};

function refusal(data: JsonValue): string | undefined {
  try {
    decode(data, anyClass, DEFAULT_LIMITS).fill();
    return undefined;
  } catch (error) {
    if (!(error instanceof ByReferenceError)) throw error;
    return error.message;
  }
}

test('what the schema accepts is decoded, but for what it can’t say; what is decoded it accepts', () => {
  const property = fc.property(payloadData, (data) => {
    const message = refusal(data);
    if (isValid({ $byref: 1, data }) === (message === undefined)) return;
    if (message !== undefined && Object.values(BEYOND_A_SCHEMA).some((reason) => reason.test(message))) return;
    throw new Error(message ?? JSON.stringify(isValid.errors?.[0]));
  });
  fc.assert(property, { numRuns: 20_000, seed });
});

/** Each thing that holds others, around one. */
const HOLDERS: readonly ((data: unknown) => unknown)[] = [
  (data) => [data],
  (data) => ({ a: data }),
  (data) => ({ a: data, $map: 1 }),
  (data) => ({ $map: [[1, data]] }),
  (data) => ({ $map: [[data, 1]] }),
  (data) => ({ $set: [data] }),
  (data) => ({ $object: [['a', data]] }),
  (data) => ({ $value: ['A', data] }),
  (data) => ({ $snapshot: ['A', { a: data }] }),
];

test('a validator that collects all errors takes time in proportion to the payload', () => {
  const nested = (levels: number): unknown => {
    let data: unknown = { $date: 'no date' };
    for (let level = 0; level < levels; level++) data = HOLDERS[level % HOLDERS.length]!(data);
    return { $byref: 1, data };
  };
  const time = (levels: number): number => {
    const payload = nested(levels);
    return cpuSeconds(() => collectsAll(payload), 50);
  };
  // What doubles with each level, as it did in 0.1.0, ends here after hours.
  time(20);
  time(200);
  expect(time(800) / time(200)).toBeLessThan(8);
});
