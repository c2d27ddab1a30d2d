import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { hostileShapes } from '../../fixtures/hostile.ts';
import { keySamples } from '../../fixtures/keys.ts';
import { valueSamples } from '../../fixtures/values.ts';

const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
const validate = new Ajv2020({ strict: true, allowUnionTypes: true, strictTuples: false, strictTypes: false }).compile(
  read('../../schema/wire-v1.schema.json') as object,
);
const errors = (payload: unknown): unknown => (validate(payload) ? [] : validate.errors);

test.each(valueSamples)('$name is valid', ({ wire }) => {
  expect(errors({ $byref: 1, data: [wire] })).toEqual([]);
});

test('every shape of key is valid', () => {
  for (const { model, wire } of keySamples) {
    expect(errors({ $byref: 1, data: { $entity: [model.name, wire, { schema: 's', version: 1 }] } })).toEqual([]);
  }
});

/** Envelopes anywhere in a golden file. */
function* envelopesIn(json: unknown): Generator<unknown> {
  if (typeof json !== 'object' || json === null) return;
  if ('$byref' in json) yield json;
  else for (const child of Object.values(json)) yield* envelopesIn(child);
}

const folder = '../../fixtures/payloads/v1/';
test.each(readdirSync(new URL(folder, import.meta.url)))('the golden payloads of %s are valid', (file) => {
  const payloads = [...envelopesIn(read(folder + file))];
  expect(payloads.length).toBeGreaterThan(0);
  for (const payload of payloads) expect(errors(payload)).toEqual([]);
});

test('what decode refuses as malformed is invalid, but for what a schema can’t say', () => {
  const small = hostileShapes.filter(({ name, code }) => code === 'E_MALFORMED' && !name.includes('10 MB'));
  const accepted = small.filter(({ data }) => validate({ $byref: 1, data })).map(({ name }) => name);
  expect(accepted).toEqual(['impossible date', 'object with a key twice']);
});

test.each<[string, unknown]>([
  ['no envelope', [1]],
  ['no data', { $byref: 1 }],
  ['another version', { $byref: 2, data: 1 }],
  ['a signature without a purpose', { $byref: 1, data: 1, signature: 'A'.repeat(43) }],
  ['a signature that is none', { $byref: 1, data: 1, purpose: 'a', signature: 'x' }],
  ['an expiry in another spelling', { $byref: 1, data: 1, expiresAt: '2026-11-21' }],
])('%s is invalid', (_name, payload) => {
  expect(validate(payload)).toBe(false);
});
