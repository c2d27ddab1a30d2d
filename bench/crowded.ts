/** One reference to a row that an EntityManager of 30,000 rows does not have yet, against a find with `refresh` there. */
import { randomUUID } from 'node:crypto';
import { type EntityClass, type EntityManager, EntitySchema } from '@mikro-orm/core';
import type { EntitySerializer } from 'mikro-orm-byref';
import { race, type Race } from './measure.ts';

class ByInt {
  declare id: number;
}
class ByTime {
  declare id: string;
}
class ByUuidAndTime {
  declare id: string;
  declare at: Date;
}

/** A plain key, and two of those that the application may spell in other ways than the driver reads them. */
const KEYS: readonly (readonly [string, EntityClass<object>, (index: number) => object])[] = [
  ['int', ByInt, (index) => ({ id: index + 1 })],
  ['time', ByTime, (index) => ({ id: `${new Date(index * 1_000).toISOString().slice(11, 19)}.5` })],
  ['uuid and timestamptz', ByUuidAndTime, (index) => ({ id: randomUUID(), at: new Date(index * 1_000) })],
];

export const crowdedSchemas = [
  new EntitySchema({ class: ByInt, properties: { id: { type: 'integer', primary: true } } }),
  new EntitySchema({ class: ByTime, properties: { id: { type: 'string', columnType: 'time', primary: true } } }),
  new EntitySchema({
    class: ByUuidAndTime,
    properties: {
      id: { type: 'uuid', primary: true },
      at: { type: 'Date', columnType: 'timestamptz(3)', primary: true },
    },
  }),
];

const [MANAGED, ROWS_AT_ONCE] = [30_000, 1_000];

export async function benchCrowded(
  serializer: EntitySerializer,
  globalEm: EntityManager,
  rounds: number,
): Promise<ReadonlyMap<string, Race>> {
  const races = new Map<string, Race>();
  for (const [name, model, keyOf] of KEYS) {
    const keys = Array.from({ length: MANAGED + 1 }, (_, index) => keyOf(index));
    for (let from = 0; from < keys.length; from += ROWS_AT_ONCE) {
      await globalEm.fork().insertMany(model, keys.slice(from, from + ROWS_AT_ONCE));
    }
    const em = globalEm.fork();
    await em.findAll(model);
    const key = keys[MANAGED]!;
    const text = serializer.serialize([await globalEm.fork().findOneOrFail(model, key)]);
    // After each turn the row is one that is not there yet.
    const forget = ([entity]: readonly object[]): void => em.getUnitOfWork(false).unsetIdentity(entity!);
    forget(await em.find(model, key));
    const revive = async () => forget(await serializer.deserialize<object[]>(text, { em }));
    const find = async () => forget(await em.find(model, key, { refresh: true, flushMode: 'commit' }));
    races.set(
      name,
      await race(
        [
          { name: 'revive', run: revive },
          { name: 'find', run: find },
        ],
        rounds,
      ),
    );
  }
  return races;
}
