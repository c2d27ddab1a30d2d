import type { JsonValue } from 'mikro-orm-byref';
import { hostileShapes, hostileTokens } from '../../fixtures/hostile.ts';
import { valueSamples } from '../../fixtures/values.ts';

/** What payloads are made of and mutated from: good and bad values of every kind. */
const CORPUS: readonly unknown[] = [
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

/** Payloads that nearly are some, from a seed. */
export class Fuzzer {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = random(seed);
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

  /** The data of a payload: made up, or mutated. */
  data(): JsonValue {
    const data = this.chance(0.5) ? this.json(5) : this.mutated(this.pick(CORPUS));
    return JSON.parse(JSON.stringify(data) ?? 'null') as JsonValue;
  }

  /** The text of a payload: made up, mutated as JSON, or mutated as text. */
  text(): string {
    const how = this.#next();
    if (how < 0.4) return JSON.stringify({ $byref: 1, data: this.json(6) });
    const data = this.mutated(this.pick(CORPUS));
    if (how < 0.8) return JSON.stringify({ $byref: 1, data });
    if (how < 0.9) return JSON.stringify(this.mutated({ $byref: 1, data, purpose: 'jobs', signature: 'x' }));
    const text = JSON.stringify({ $byref: 1, data });
    const at = Math.floor(this.#next() * text.length);
    return text.slice(0, at) + this.pick(['"', '{', '}', '\\', '\u0000', '9', '$', ',']) + text.slice(at + 1);
  }
}

function isLarge(json: unknown): boolean {
  try {
    return JSON.stringify(json).length > 1_000;
  } catch {
    // Deeper than the stack.
    return true;
  }
}
