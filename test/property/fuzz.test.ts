import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { ByReferenceError, type DeserializeOptions, EntitySerializer } from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { keys } from '../../fixtures/keys.ts';
import { Line, Money, Offer } from '../../fixtures/value-objects.ts';
import { Fuzzer } from '../support/fuzzer.ts';
import { offlineOrm } from '../support/offline-orm.ts';

/** More in `npm run test:long`. */
const PAYLOADS = Number(process.env['FUZZ_PAYLOADS'] ?? 200_000);
/** Printed with a failure, and settable to see it again. */
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);

const orm = offlineOrm([...domain, ...keys]);
const serializer = new EntitySerializer(orm, {
  values: [Money, Offer],
  signingKeys: ['a secret of thirty-two bytes, ok'],
});
const em = orm.em.fork();

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
    const fuzzer = new Fuzzer(seed);
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
