import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { helper } from '@mikro-orm/core';
import { EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { domain, User } from '../../fixtures/domain.ts';
import { BigIntKey, BufferKey, BytesKey, IntKey, keys, keySamples, TextKey } from '../../fixtures/keys.ts';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { has } from '../support/driver.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase([...domain, ...keys]);
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  // In the order of the table, because some keys are keys of rows before them.
  for (const { model, key, index } of samples.filter(isKept)) {
    await em.insert(model, { ...key, note: String(index) } as never);
  }
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

const stored = async (index: number): Promise<object> => {
  const { model } = keySamples[index]!;
  return database.orm.em.fork().findOneOrFail(model, { note: String(index) } as never);
};
const samples = keySamples.map((sample, index) => ({ ...sample, index, needs: sample.needs ?? [] }));
const quoted = (model: (typeof samples)[number]['model']): string =>
  `"${(database.orm.getMetadata().get(model as never) as { tableName: string }).tableName}"`;
const isKept = ({ needs }: (typeof samples)[number]): boolean => has(...needs);

describe('every shape of key', () => {
  const roundTrip = async ({ index, model, wire }: (typeof samples)[number]): Promise<void> => {
    const entity = await stored(index);
    const token = serializer.token(entity);
    expect(token.toJSON()).toEqual({ $token: [model.name, wire] });
    expect(EntityToken.parse(token.toString()).equals(token)).toBe(true);
    const payload = serializer.serialize([entity, { again: entity }]);
    const em = database.orm.em.fork();
    database.statements.length = 0;
    const [first, { again }] = (await serializer.deserialize(payload, { em })) as [object, { again: object }];
    expect(selects(database.statements)).toHaveLength(1);
    expect(again).toBe(first);
    expect(first).toBeInstanceOf(model);
    expect(first).toMatchObject({ note: String(index) });
    expect(serializer.token(first).equals(token)).toBe(true);
    // Once more into the same identity map: still one object per row.
    database.statements.length = 0;
    const reference = await serializer.decode(
      { $byref: 1, data: { $entity: [model.name, wire] } },
      { em, freshness: 'lazy' },
    );
    expect(database.statements).toEqual([]);
    expect(serializer.token(reference as object).equals(token)).toBe(true);
  };
  for (const sample of samples) {
    testWith(...sample.needs)(`${sample.model.name} ${JSON.stringify(sample.wire)}`, () => roundTrip(sample));
  }

  test('however MikroORM comes by an entity, its key is that of its row', async () => {
    for (const { model, key, wire, index } of samples.filter(isKept)) {
      const loaded = await stored(index);
      // Of nested keys MikroORM makes references without a key.
      if (helper(loaded).__meta.relations.length > 0) continue;
      const em = () => database.orm.em.fork();
      const primaryKey = helper(loaded).getPrimaryKey() as never;
      const [raw] = (await em()
        .getConnection()
        .execute(`select * from ${quoted(model)} where note = ?`, [String(index)])) as [object];
      const own = { ...key, note: String(index) } as never;
      const ways = [
        () => em().getReference(model, primaryKey),
        () => em().merge(model, own),
        () => em().map(model, raw as never),
        () => em().upsert(model, own),
      ];
      // MikroORM 6 itself fails to map custom keys, and to upsert bytes.
      const handedOut = await Promise.allSettled(ways.map(async (way) => way()));
      const entities = handedOut.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(entities.length).toBeGreaterThanOrEqual(isMikroOrm6 ? 3 : 4);
      for (const entity of [loaded, ...entities]) {
        expect(serializer.token(entity).toJSON()).toEqual({ $token: [model.name, wire] });
      }
    }
  });

  test('all shapes in one payload: one query per model', async () => {
    const kept = samples.filter(isKept);
    const entities = await Promise.all(kept.map(({ index }) => stored(index)));
    database.statements.length = 0;
    const back = await serializer.deserialize(serializer.serialize(entities), { em: database.orm.em.fork() });
    expect(back).toHaveLength(entities.length);
    expect(back.map((entity) => (entity as { note: string }).note)).toEqual(kept.map(({ index }) => String(index)));
    expect(selects(database.statements)).toHaveLength(new Set(kept.map(({ model }) => model)).size);
  });

  test('a token from before an integer column was widened is of the same row', async () => {
    await database.orm.em.fork().insert(BigIntKey, { id: 5n, note: 'narrow once' } as never);
    const tokens = [5, { $bigint: '5' }].map((key) => ({ $entity: ['BigIntKey', key] }));
    const em = database.orm.em.fork();
    database.statements.length = 0;
    const [first, second] = (await serializer.decode({ $byref: 1, data: tokens }, { em })) as BigIntKey[];
    expect(selects(database.statements)).toHaveLength(1);
    expect([first!.id, first!.note, second === first]).toEqual([5n, 'narrow once', true]);
    for (const key of [5.5, 2 ** 53, '5']) {
      const payload = { $byref: 1, data: { $entity: ['BigIntKey', key] } };
      await expect(serializer.decode(payload, { em })).rejects.toThrow(
        expect.objectContaining({ code: 'E_MALFORMED' }),
      );
    }
  });

  test('the JavaScript type of a key comes back exactly', async () => {
    const [int, big, bytes, buffer] = [IntKey, BigIntKey, BytesKey, BufferKey].map((model) =>
      samples.findIndex((sample) => sample.model === model && isKept(sample)),
    );
    const back = (await serializer.deserialize(
      serializer.serialize(await Promise.all([int, big, bytes, buffer].map((index) => stored(index!)))),
      { em: database.orm.em.fork() },
    )) as { id: unknown }[];
    expect(back.map(({ id }) => id)).toEqual([
      1,
      has('exactNumbers') ? 9_007_199_254_740_993n : -1n,
      Uint8Array.of(0xff, 0xfe, 0),
      Buffer.of(0xff, 0xfe),
    ]);
    expect(Buffer.isBuffer(back[3]!.id)).toBe(true);
  });
});

describe('what only the database can say', () => {
  test('a failure of the database passes through and never looks like a missing row', async () => {
    const broken = await openDatabase(domain);
    const own = new EntitySerializer(broken.orm);
    await broken.orm.em.fork().getConnection().execute('alter table "user" rename to gone');
    const call = own.decode(
      { $byref: 1, data: { $entity: ['User', 1] } },
      { em: broken.orm.em.fork(), missing: 'null' },
    );
    await expect(call).rejects.toMatchObject({ name: 'TableNotFoundException' });
    await broken.close();
  });

  test('text keys are data, whatever they say', async () => {
    const id = `x') or 1=1; drop table "user"; --`;
    await database.orm.em.fork().insert(TextKey, { id, note: 'n' } as never);
    const back = await serializer.decode<TextKey>(
      { $byref: 1, data: { $entity: ['TextKey', id] } },
      { em: database.orm.em.fork() },
    );
    expect(back.id).toBe(id);
    expect(await database.orm.em.fork().count(User)).toBe(0);
  });
});
