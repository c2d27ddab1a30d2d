/** Payloads that nearly are some: made up by the grammar of format 1, or of the corpus with one place changed. */
import { globSync, readFileSync } from 'node:fs';
import fc, { type Arbitrary } from 'fast-check';
import type { JsonValue } from 'mikro-orm-byref';
import { hostileShapes, hostileTokens } from '../../fixtures/hostile.ts';
import { valueSamples } from '../../fixtures/values.ts';

const folder = new URL('../../fixtures/corpus/', import.meta.url);

/** The texts of `fixtures/corpus` by name: one of each kind, good and bad. What a run finds is put there, shrunk. */
export const corpus: ReadonlyMap<string, string> = new Map(
  globSync('*.json', { cwd: folder })
    .sort()
    .map((name) => [name.replace('.json', ''), readFileSync(new URL(name, folder), 'utf8').trim()]),
);

const isSmall = (json: unknown): boolean => {
  try {
    return JSON.stringify(json).length < 1_000;
  } catch {
    // Deeper than the stack.
    return false;
  }
};

/** The data of all payloads that are JSON. */
const bases: readonly unknown[] = [
  ...[...corpus.values()].flatMap((text) => {
    try {
      return [(JSON.parse(text) as { data: unknown }).data];
    } catch {
      return [];
    }
  }),
  ...valueSamples.map(({ wire }) => wire),
  ...[...hostileShapes, ...hostileTokens].map(({ data }) => data).filter(isSmall),
];

const TAGS = ['entity', 'token', 'value', 'snapshot', 'date', 'bigint', 'map', 'set', 'url', 'bytes', 'undefined', 'number', 'string', 'object', '', 'x']; // prettier-ignore
const NAMES = ['User', 'Post', 'Comment', 'Tag', 'OrderLine', 'Money', 'Offer', 'Amount', 'Nobody', 'constructor', '__proto__', '']; // prettier-ignore
const KEYS = ['a', 'id', 'author', 'amount', 'lines', 'any', 'kind', '__proto__', 'constructor', 'toJSON', 'then', '$', '$$', '$$entity', 'data', '0', '\0']; // prettier-ignore
const SCALARS = [null, true, false, 0, -1, 1, 1.5, 2 ** 53, 1e308, '', 'a', '\0', '\uD800', '1', 'line', '2026-11-21T00:00:00.000Z', 'AQ==', 'https://example.org/', 'NaN']; // prettier-ignore

const key = fc.constantFrom(...KEYS);
const scalar: Arbitrary<unknown> = fc.constantFrom(...SCALARS);

/** Own keys, whatever they are named. */
const objectOf = (entries: Iterable<readonly [PropertyKey, unknown]>): unknown => Object.fromEntries(entries);

/** JSON that looks like a payload's data. */
const { json } = fc.letrec<{ json: unknown }>((tie) => {
  const inner = tie('json');
  const named = fc.tuple(fc.constantFrom('$entity', '$token', '$value', '$snapshot'), fc.constantFrom(...NAMES), inner);
  return {
    json: fc.oneof(
      { depthSize: 'small', maxDepth: 5, withCrossShrink: true },
      { arbitrary: scalar, weight: 3 },
      { arbitrary: fc.array(inner, { maxLength: 3 }), weight: 1 },
      { arbitrary: fc.array(fc.tuple(key, inner), { maxLength: 3 }).map(objectOf), weight: 1 },
      { arbitrary: fc.tuple(fc.constantFrom(...TAGS), inner).map(([tag, body]) => ({ [`$${tag}`]: body })), weight: 1 },
      { arbitrary: named.map(([tag, name, body]) => ({ [tag]: [name, body] })), weight: 2 },
      { arbitrary: fc.tuple(inner, inner).map((entry) => ({ $map: [entry] })), weight: 1 },
    ),
  };
});

interface Mutation {
  readonly base: unknown;
  /** Which entry of each container on the way down, and what stands there instead. */
  readonly steps: readonly number[];
  readonly instead: unknown;
  readonly extra: string | null;
}

function mutated({ base, steps, instead, extra }: Mutation): unknown {
  const [step, ...others] = steps;
  const entries = typeof base === 'object' && base !== null ? Object.entries(base) : [];
  if (step === undefined || entries.length === 0) return instead;
  const at = step % entries.length;
  const changed = entries.map(([name, value], index): [string, unknown] => [
    name,
    index === at ? mutated({ base: value, steps: others, instead, extra }) : value,
  ]);
  if (Array.isArray(base)) return changed.map(([, value]) => value);
  if (extra !== null && others.length === 0) changed.push([extra, instead]);
  return objectOf(changed);
}

const mutation = (base: Arbitrary<unknown>): Arbitrary<unknown> =>
  fc
    .record({
      base,
      steps: fc.array(fc.nat(20), { maxLength: 6 }),
      instead: json,
      extra: fc.option(key, { freq: 10 }),
    })
    .map(mutated);

const ofCorpus = fc.oneof(fc.constantFrom(...bases), mutation(fc.constantFrom(...bases)));

/** What a parser has made: no undefined, no -0. */
const parsed = (value: unknown): JsonValue => JSON.parse(JSON.stringify(value) ?? 'null') as JsonValue;

/** The data of a payload. */
export const payloadData: Arbitrary<JsonValue> = fc.oneof(json, ofCorpus).map(parsed);

/** The text of a payload: one of the corpus, its data changed, its envelope changed, or a character of it. */
export const payloadText: Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...corpus.values()), weight: 1 },
  { arbitrary: fc.oneof(json, ofCorpus).map((data) => JSON.stringify({ $byref: 1, data })), weight: 8 },
  {
    arbitrary: mutation(
      ofCorpus.map((data) => ({ $byref: 1, data, job: { queue: 'a', name: 'b' }, purpose: 'jobs', signature: 'x' })),
    ).map((envelope) => JSON.stringify(envelope) ?? ''),
    weight: 1,
  },
  {
    arbitrary: fc
      .tuple(fc.constantFrom(...corpus.values()), fc.nat(), fc.constantFrom('"', '{', '}', '\\', '\0', '9', '$', ','))
      .map(([text, at, character]) => text.slice(0, at % text.length) + character + text.slice((at % text.length) + 1)),
    weight: 1,
  },
);

/** The text of a token, signed by nobody. */
export const tokenText: Arbitrary<string> = fc
  .oneof(
    mutation(fc.constant(['OrderLine', [7, { $bigint: '1' }], { schema: 'a', version: 1 }])),
    fc.tuple(fc.constantFrom(...NAMES), json),
  )
  .chain((body) => {
    const text = Buffer.from(JSON.stringify(body) ?? '').toString('base64url');
    return fc.constantFrom(text, `${text}=`, `v1..${text}.${'A'.repeat(43)}`, `v1.zz.${text}.${'A'.repeat(43)}`);
  });
