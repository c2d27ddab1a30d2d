/** An EntityManager that manages many rows: what one more reference costs there, and that it still meets its own object. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { EntitySchema } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { PrimaryKey } from '../../src/keys/primary-key.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

class ByUuid {
  declare id: string;
}
class ByInstant {
  declare id: Date;
}
const MANAGED = 500;
const keysOf = {
  ByUuid: () => randomUUID(),
  ByInstant: (index: number) => new Date(index * 1_000),
};

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase([
    new EntitySchema({ class: ByUuid, properties: { id: { type: 'uuid', primary: true } } }),
    new EntitySchema({
      class: ByInstant,
      properties: { id: { type: 'Date', columnType: 'timestamptz(3)', primary: true } },
    }),
  ]);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

test.each([ByUuid, ByInstant])('%p: managed rows are looked at once, and not for each reference', async (model) => {
  const make = keysOf[model.name as keyof typeof keysOf];
  const ids = Array.from({ length: MANAGED + 20 }, (_, index) => make(index));
  await database.orm.em.fork().insertMany(model as never, ids.map((id) => ({ id })) as never);
  const em = database.orm.em.fork();
  await em.find(model as never, { id: ids.slice(0, MANAGED) } as never);
  const looks = jest.spyOn(PrimaryKey.prototype, 'isAsRead');
  const revive = async (id: unknown): Promise<number> => {
    const text = serializer.serialize([database.orm.em.fork().getReference(model as never, id as never)]);
    looks.mockClear();
    await serializer.deserialize(text, { em });
    return looks.mock.calls.length;
  };
  try {
    expect(await revive(ids[0])).toBeLessThanOrEqual(MANAGED);
    expect(await revive(ids[MANAGED])).toBeLessThanOrEqual(2 * MANAGED);
    for (const id of [ids[1], ...ids.slice(MANAGED + 1)]) expect(await revive(id)).toBeLessThan(10);
  } finally {
    looks.mockRestore();
  }
});

test('what comes and goes meanwhile is met all the same, however it was spelled', async () => {
  const em = database.orm.em.fork();
  const revive = async (id: string): Promise<ByUuid> => {
    const [entity] = (await serializer.decode(
      { $byref: 1, data: [{ $entity: ['ByUuid', id.toLowerCase()] }] },
      { em, missing: 'null' },
    )) as ByUuid[];
    return entity!;
  };
  const spelled = Array.from({ length: 6 }, () => randomUUID().toUpperCase());
  const made: ByUuid[] = [];
  for (const id of spelled) {
    made.push(em.create(ByUuid, { id }));
    await em.flush();
    for (const entity of made) expect(await revive(entity.id)).toBe(entity);
    if (made.length < 3) continue;
    const gone = made.shift()!;
    em.remove(gone);
    await em.flush();
    expect(await revive(gone.id)).toBeNull();
  }
  em.clear();
  const [kept] = made;
  const again = await revive(kept!.id);
  expect([again === kept, again.id]).toEqual([false, kept!.id.toLowerCase()]);
});
