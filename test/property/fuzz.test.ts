import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ByReferenceError,
  type DeserializeOptions,
  EntitySerializer,
  EntityToken,
  type JsonValue,
} from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { keys } from '../../fixtures/keys.ts';
import { Money, Offer } from '../../fixtures/value-objects.ts';
import { findPayloads } from '../../src/cli/input.ts';
import { jsonReport, textReport } from '../../src/cli/report.ts';
import { Seal } from '../../src/tasks/seal.ts';
import { offlineOrm } from '../support/offline-orm.ts';
import { Amount, Cart, Order } from '../support/payload-cases.ts';
import { corpus, payloadText, tokenText } from '../support/payloads.ts';

/** `npm run fuzz` is for so many minutes, where they are said. */
const MINUTES = Number(process.env['FUZZ_MINUTES'] ?? 0);
const PAYLOADS = MINUTES > 0 ? Number.POSITIVE_INFINITY : Number(process.env['FUZZ_PAYLOADS'] ?? 200_000);
/** Settable to see a run again; what failed is shrunk and printed with it. */
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);

const orm = offlineOrm([...domain, ...keys]);
const serializer = new EntitySerializer(orm, {
  values: [Money, Offer, Amount, Cart],
  signingKeys: ['a secret of thirty-two bytes, ok'],
});
const em = orm.em.fork();
const seal = new Seal(serializer as never, { signed: { purpose: 'jobs' } });

const options = { em, freshness: 'lazy', limits: { depth: 20, nodes: 1_000 } } as const;
const deserialize = (own: DeserializeOptions) => (text: string) =>
  serializer.deserialize(text as never, { ...options, ...own });
const json = (read: (data: JsonValue) => unknown) => (text: string) => {
  let data: JsonValue;
  try {
    data = JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
  return read(data);
};

/** Whoever reads what strangers write, each as often as it is here. */
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  deserialize: deserialize({}),
  'deserialize again': deserialize({}),
  only: deserialize({ only: [User] }),
  signed: deserialize({ signed: { purpose: 'jobs' } }),
  'a DTO': deserialize({ as: Order }),
  decode: json((data) => serializer.decode(data, options)),
  revive: json((data) => serializer.revive(data, { ...options, only: [User, Post] })),
  'a signed job': json((data) => seal.openJob(data, { queue: 'a', name: 'b' })),
  'a signed result': json((data) => seal.openResult(data, () => true)),
  inspect: (text) => serializer.inspect(text),
  'byref inspect': (text) => {
    const findings = findPayloads(text);
    return [textReport({ findings }), jsonReport({ findings })];
  },
  'EntityToken.from': json((data) => EntityToken.from(data)),
};
const TOKEN_READERS: typeof READERS = {
  'EntityToken.parse': (text) => EntityToken.parse(text),
  locate: (text) => serializer.locate(text, { ...options, only: [User, Post] }),
  verify: (text) => serializer.verify(text, { ...options, purpose: 'mail' }),
};

/** `revive` tells of the models that nobody knows. */
beforeAll(() => void jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined));

const names = (readers: typeof READERS): fc.Arbitrary<string> => fc.constantFrom(...Object.keys(readers));
const inputs = fc.oneof(
  { arbitrary: fc.tuple(names(READERS), payloadText), weight: 9 },
  { arbitrary: fc.tuple(names(TOKEN_READERS), tokenText), weight: 1 },
);

/** What a text comes to with a reader. Throws what no reader may throw. */
async function outcomeOf(reader: string, text: string): Promise<string> {
  try {
    await (READERS[reader] ?? TOKEN_READERS[reader])!(text);
    return 'a value';
  } catch (error) {
    // The command and the seal are of the source, and have an error class of their own.
    if (error instanceof ByReferenceError || (error as Error).name === 'ByReferenceError') {
      return (error as ByReferenceError).code;
    }
    throw error;
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

/** Reads so many, or for so long. */
async function fuzz(numRuns: number, codes: Map<string, number>): Promise<void> {
  let read = 0;
  const property = fc.asyncProperty(inputs, async ([reader, text]) => {
    const outcome = await outcomeOf(reader, text);
    codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
    if (read++ % 1_000 === 0) em.clear();
  });
  const ending = numRuns === Number.POSITIVE_INFINITY ? { interruptAfterTimeLimit: MINUTES * 60_000 } : {};
  await fc.assert(property, { numRuns, seed, ...ending });
}

test.each([...corpus])('%s is read, or refused where it is bad', async (name, text) => {
  for (const reader of Object.keys(READERS)) await outcomeOf(reader, text);
  const reader = name.includes('dto') ? 'a DTO' : 'deserialize';
  expect((await outcomeOf(reader, text)) === 'a value').toBe(!name.startsWith('bad-'));
});

const howMany = MINUTES > 0 ? `${MINUTES} minutes of` : PAYLOADS.toLocaleString('en');
test(
  `${howMany} payloads: a value or a ByReferenceError, no pollution, no leak`,
  async () => {
    const before = shapes();
    // Everything is compiled then, and caches have what they keep.
    await fuzz(20_000, new Map());
    em.clear();
    const heap = used();
    const codes = new Map<string, number>();
    await fuzz(PAYLOADS, codes);
    em.clear();
    expect(used() - heap).toBeLessThan(32 * 2 ** 20);
    expect(shapes()).toEqual(before);
    // The generator reaches both sides of each guard.
    for (const code of ['a value', 'E_MALFORMED', 'E_UNKNOWN_MODEL', 'E_UNKNOWN_VALUE', 'E_BAD_SIGNATURE']) {
      expect(codes.get(code) ?? 0).toBeGreaterThan(Math.min(PAYLOADS, 200_000) / 1_000);
    }
  },
  Math.max(300_000, MINUTES * 120_000, Number.isFinite(PAYLOADS) ? PAYLOADS : 0),
);
