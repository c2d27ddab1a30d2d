import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { ByReferenceError, type DeserializeOptions, EntitySerializer } from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { hostileShapes, hostileTokens } from '../../fixtures/hostile.ts';
import { keys } from '../../fixtures/keys.ts';
import { Line, Money, Offer } from '../../fixtures/value-objects.ts';
import { valueSamples } from '../../fixtures/values.ts';
import { offlineOrm } from '../support/offline-orm.ts';

/** More in `npm run test:long`. */
const PAYLOADS = Number(process.env['FUZZ_PAYLOADS'] ?? 100_000);
/** Printed with a failure, and settable to see it again. */
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);

const orm = offlineOrm([...domain, ...keys]);
const serializer = new EntitySerializer(orm, {
  values: [Money, Offer],
  signingKeys: ['a secret of thirty-two bytes, ok'],
});
const em = orm.em.fork();

/** mulberry32, a small generator: the same seed makes the same payloads on any machine. */
function random(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const TAGS = ['entity', 'token', 'value', 'snapshot', 'date', 'bigint', 'map', 'set', 'url', 'bytes', 'undefined', 'number', 'string', 'object', '', 'x']; // prettier-ignore
const NAMES = [
  'User',
  'Post',
  'Comment',
  'Tag',
  'OrderLine',
  'Money',
  'Offer',
  'Nobody',
  'constructor',
  '__proto__',
  '',
];
const KEYS = [
  'a',
  'id',
  'author',
  'amount',
  '__proto__',
  'constructor',
  'toJSON',
  'then',
  '$',
  '$$',
  '$$entity',
  'data',
  '0',
  '\0',
];
const SCALARS = [null, true, false, 0, -1, 1, 1.5, 2 ** 53, 1e308, '', 'a', '\0', '\uD800', '1', '2026-11-21T00:00:00.000Z', 'AQ==', 'https://example.org/', 'NaN']; // prettier-ignore

class Fuzzer {
  readonly #next: () => number;
  readonly #corpus: unknown[];

  constructor(start: number, corpus: unknown[]) {
    this.#next = random(start);
    this.#corpus = corpus;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#next() * items.length)]!;
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** JSON that looks like a payload's data. */
  json(depth: number): unknown {
    if (depth === 0 || this.chance(0.3)) return this.pick(SCALARS);
    const shape = this.#next();
    if (shape < 0.2) return Array.from({ length: this.#next() * 4 }, () => this.json(depth - 1));
    if (shape < 0.4) return this.object(depth);
    if (shape < 0.6) return { [`$${this.pick(TAGS)}`]: this.json(depth - 1) };
    const named = ['$entity', '$token', '$value', '$snapshot'];
    if (shape < 0.9) return { [this.pick(named)]: [this.pick(NAMES), this.json(depth - 1)] };
    return { $map: [[this.json(depth - 1), this.json(depth - 1)]] };
  }

  object(depth: number): unknown {
    const object = {};
    for (let left = this.#next() * 4; left > 0; left--) {
      const value = this.json(depth - 1);
      Object.defineProperty(object, this.pick(KEYS), { value, enumerable: true, configurable: true, writable: true });
    }
    return object;
  }

  /** A good payload with one place of it replaced. */
  mutated(json: unknown): unknown {
    if (typeof json !== 'object' || json === null || this.chance(0.2)) return this.json(3);
    const entries = Object.entries(json);
    if (entries.length === 0) return this.json(2);
    const [at] = this.pick(entries);
    const changed = entries.map(([key, value]) => [key, key === at ? this.mutated(value) : value] as const);
    if (this.chance(0.1)) changed.push([this.pick(KEYS), this.json(2)]);
    return Array.isArray(json) ? changed.map(([, value]) => value) : Object.fromEntries(changed);
  }

  /** The text of a payload: made up, mutated as JSON, or mutated as text. */
  text(): string {
    const how = this.#next();
    if (how < 0.4) return JSON.stringify({ $byref: 1, data: this.json(6) });
    const data = this.mutated(this.pick(this.#corpus));
    if (how < 0.8) return JSON.stringify({ $byref: 1, data });
    if (how < 0.9) return JSON.stringify(this.mutated({ $byref: 1, data, purpose: 'jobs', signature: 'x' }));
    const text = JSON.stringify({ $byref: 1, data });
    const at = Math.floor(this.#next() * text.length);
    return text.slice(0, at) + this.pick(['"', '{', '}', '\\', '\u0000', '9', '$', ',']) + text.slice(at + 1);
  }
}

const used = (): number => {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
};

const prototypes = [Object, Array, Function, String, Number, Map, Set, Date, Promise, User, Post, Money].map(
  (cls) => cls.prototype as object,
);
const shapes = (): unknown => prototypes.map((prototype) => Reflect.ownKeys(prototype));

test(
  `${PAYLOADS.toLocaleString('en')} payloads: a value or a ByReferenceError, no pollution, no leak`,
  async () => {
    const corpus = [
      ...valueSamples.map(({ wire }) => wire),
      ...[...hostileShapes, ...hostileTokens]
        .map(({ data }) => data)
        .filter((data) => Object.keys(Object(data)).length < 100 && !isLarge(data)),
      { $value: ['Money', { amount: '1.50', currency: 'EUR' }] },
      { $snapshot: ['Post', { id: 1, title: 'x', author: { $entity: ['User', 1] }, comments: [] }] },
      {
        list: [{ $entity: ['User', 1] }, { $entity: ['Comment', { $bigint: '1' }] }],
        map: { $map: [['a', { $set: [1] }]] },
      },
    ];
    const fuzzer = new Fuzzer(seed, corpus);
    const before = shapes();
    const codes = new Map<string, number>();
    const options = (): DeserializeOptions => {
      if (fuzzer.chance(0.8)) return {};
      return fuzzer.pick<DeserializeOptions>([{ only: [User] }, { signed: { purpose: 'jobs' } }, { as: Line }]);
    };
    let heap = 0;
    for (let index = 0; index < PAYLOADS; index++) {
      // After the first tenth everything is compiled, and caches have what they keep.
      if (index === PAYLOADS / 10) heap = used();
      const text = fuzzer.text();
      let outcome = 'a value';
      try {
        await serializer.deserialize(text, {
          em,
          freshness: 'lazy',
          limits: { depth: 20, nodes: 1_000 },
          ...options(),
        });
      } catch (error) {
        if (!(error instanceof ByReferenceError)) throw new Error(`seed ${seed}: ${text}`, { cause: error });
        outcome = error.code;
      }
      codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
      if (index % 1_000 === 0) em.clear();
    }
    em.clear();
    expect(used() - heap).toBeLessThan(32 * 2 ** 20);
    expect(shapes()).toEqual(before);
    // The generator reaches both sides of each guard.
    for (const code of ['a value', 'E_MALFORMED', 'E_UNKNOWN_MODEL', 'E_UNKNOWN_VALUE', 'E_BAD_SIGNATURE'])
      expect(codes.get(code) ?? 0).toBeGreaterThan(PAYLOADS / 1_000);
  },
  Math.max(300_000, PAYLOADS),
);

function isLarge(json: unknown): boolean {
  try {
    return JSON.stringify(json).length > 1_000;
  } catch {
    // Deeper than the stack.
    return true;
  }
}
