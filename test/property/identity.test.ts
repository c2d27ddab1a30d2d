/** Old and new code of a deploy: a row is the same lock, dedupe key and tag, whatever its key has been widened to. */
import { expect, test } from '@jest/globals';
import fc, { type Arbitrary } from 'fast-check';
import { EntityToken } from 'mikro-orm-byref';
import { rowTag } from '../../src/cache/tags.ts';
import { compare } from '../../src/cli/manifest/compare.ts';
import { type Manifest, manifestOf } from '../../src/cli/manifest/manifest.ts';
import { KEYS, type KeyType, Program } from '../support/application.ts';

const types = Object.keys(KEYS) as KeyType[];

const programOf = (key: KeyType): Program =>
  new Program({ models: { Row: { aliases: [], key: [key, 'text'] } }, values: {}, tasks: {} });

const programs = new Map(types.map((type) => [type, programOf(type)]));

/** What a change from one type of a key to another keeps readable. */
async function widenings(): Promise<readonly (readonly [KeyType, KeyType])[]> {
  const pairs = types.flatMap((before) => types.map((now) => [before, now] as const));
  const kept = await Promise.all(
    pairs.map(async ([before, now]) => {
      const [old, fresh] = [programs.get(before)!, programs.get(now)!] as never[];
      const file = JSON.parse(JSON.stringify(await manifestOf(old!))) as Manifest;
      const { serializer } = fresh as unknown as Program;
      return compare(file, await manifestOf(fresh!), serializer as never).breaks.length === 0;
    }),
  );
  // What becomes a float4 is rounded. A macaddr8, and a number made of bits, are written in other ways: PostgreSQL makes
  // another value of the one, and nothing by itself of the other.
  const isOther = (before: KeyType, now: KeyType): boolean =>
    now === 'real' || [before, now].includes('macaddr8') || (before === 'bit(3)' && now.startsWith('numeric'));
  return pairs.filter(([before, now], index) => before !== now && !isOther(before, now) && kept[index]);
}

const GENERATED: { readonly [Type in KeyType]?: Arbitrary<unknown> } = {
  smallint: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  int: fc.integer(),
  oid: fc.nat(2 ** 32 - 1),
  bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  float8: fc.double({ noDefaultInfinity: true, noNaN: true }),
  real: fc.float({ noDefaultInfinity: true, noNaN: true }),
  uuid: fc.uuid(),
  boolean: fc.boolean(),
  text: fc.string(),
  'varchar(20)': fc.string({ maxLength: 20 }),
};

const keyOf = (type: KeyType): Arbitrary<unknown> =>
  fc.oneof(fc.constantFrom<unknown>(...KEYS[type].values), GENERATED[type] ?? fc.constantFrom(...KEYS[type].values));

/** What a program goes by where it means a row. */
function namesOf({ serializer }: Program, row: object): readonly string[] {
  const token = serializer.token(row);
  return [
    serializer.dedupeKey(row),
    serializer.dedupeKey(['a lock', { of: token }]),
    rowTag(serializer.registry as never, row)!,
  ];
}

test('whatever a key is widened to, its row is the same for old and new code', async () => {
  const pairs = await widenings();
  expect(pairs).toContainEqual(['int', 'bigint']);
  for (const [before, now] of pairs) {
    const [old, fresh] = [programs.get(before)!, programs.get(now)!];
    await fc.assert(
      fc.asyncProperty(keyOf(before), fc.string(), async (key, other) => {
        const row = old.row('Row', [key, other]);
        const revived = await fresh.serializer.deserialize<object>(old.serializer.serialize(row), {
          em: fresh.serializer.orm.em.fork(),
        });
        expect({ before, now, key, names: namesOf(fresh, revived) }).toEqual({
          before,
          now,
          key,
          names: namesOf(old, row),
        });
        expect(fresh.serializer.token(revived).equals(old.serializer.token(row))).toBe(true);
      }),
      { numRuns: 30 },
    );
  }
});

test('two rows are two, however large their keys', () => {
  const { serializer } = programs.get('bigint')!;
  const key = fc.bigInt({ min: -(2n ** 1100n), max: 2n ** 1100n });
  const near = fc.bigInt({ min: -3n, max: 3n });
  fc.assert(
    fc.property(fc.oneof(key, fc.constantFrom(2n ** 53n, 2n ** 63n)), near, (one, step) => {
      const tokens = [one, one + step].map((each) => new EntityToken('Row', [each, '']));
      const isOne = step === 0n;
      expect(serializer.dedupeKey(tokens[0]) === serializer.dedupeKey(tokens[1])).toBe(isOne);
      expect(tokens[0]!.equals(tokens[1])).toBe(isOne);
    }),
  );
});
