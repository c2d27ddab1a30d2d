import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { UniqueConstraintViolationException } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import fc from 'fast-check';
import { EntitySerializer } from 'mikro-orm-byref';
import { entitiesOf, KEY_TYPE_SQL, type Keyed, keyTypes } from '../../fixtures/key-types.ts';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import { collectStatements, selects, type TestOrm } from '../../fixtures/orm.ts';
import { isKnown } from '../../src/keys/postgres-key-column.ts';
import { openDatabase } from '../support/database.ts';

const numRuns = process.env['CI'] === undefined ? 12 : 20;

const types = keyTypes.map((type, index) => ({ ...type, ...entitiesOf(type, index) }));
type Type = (typeof types)[number];

let database: TestOrm;
let orm: MikroORM;
let serializer: EntitySerializer;
const { statements, ...logging } = collectStatements();

beforeAll(async () => {
  database = await openDatabase(types[0]!.schemas);
  await database.orm.em.fork().getConnection().execute(KEY_TYPE_SQL);
  orm = makeOrm({ clientUrl: database.url, entities: types.flatMap(({ schemas }) => schemas), ...logging });
  await schemaOf(orm).refresh();
  serializer = new EntitySerializer(orm);
});
afterAll(async () => {
  await orm.close(true);
  await database.close();
});
beforeEach(() => {
  statements.length = 0;
});

const revive = async (entities: readonly object[], em = orm.em.fork()): Promise<Keyed[]> =>
  (await serializer.deserialize(serializer.serialize(entities), { em })) as Keyed[];

const tokenOf = (entity: object): string => JSON.stringify(serializer.token(entity));

async function empty({ alone, part, foreign, nested }: Type): Promise<void> {
  const em = orm.em.fork();
  for (const model of [nested, foreign, part, alone]) if (model !== undefined) await em.nativeDelete(model, {});
}

/** The rows of a spelling, as the application has just flushed them. */
async function flushed({ alone, part, foreign, nested }: Type, spelling: unknown, note: string) {
  const em = orm.em.fork();
  const id = em.create(alone, { id: spelling, note } as never);
  const ranked = em.create(part, { id: spelling, rank: 1, note } as never);
  const entities: Keyed[] = [id, ranked];
  if (foreign !== undefined) entities.push(em.create(foreign, { of: id, rank: 1, note } as never));
  if (nested !== undefined) entities.push(em.create(nested, { of: ranked, step: 1, note } as never));
  await em.flush();
  return { em, entities };
}

async function isTaken(insert: () => Promise<unknown>): Promise<boolean> {
  try {
    await insert();
    return false;
  } catch (error) {
    if (error instanceof UniqueConstraintViolationException) return true;
    throw error;
  }
}

describe.each(types)('$sql', (type) => {
  test('a flushed entity has a token that finds its row, and the object that stands for it', async () => {
    await fc.assert(
      fc.asyncProperty(type.spellings, async (spelling) => {
        await empty(type);
        const { em, entities } = await flushed(type, spelling, 'mine');
        const other = orm.em.fork();
        const loaded = await revive(entities, other);
        expect(loaded.map(({ note }) => note)).toEqual(entities.map(() => 'mine'));
        // As it was flushed and as it was loaded: one lock, one job, one entry.
        expect(loaded.map(tokenOf)).toEqual(entities.map(tokenOf));
        expect(loaded.map((entity) => serializer.dedupeKey(entity))).toEqual(
          entities.map((entity) => serializer.dedupeKey(entity)),
        );
        for (const [index, entity] of (await revive(loaded, other)).entries()) expect(entity).toBe(loaded[index]);
        for (const [index, entity] of (await revive(loaded, em)).entries()) expect(entity).toBe(entities[index]);
        const lazy = await serializer.deserialize<Keyed[]>(serializer.serialize(entities), {
          em: orm.em.fork(),
          freshness: 'lazy',
        });
        expect(lazy.map(tokenOf)).toEqual(entities.map(tokenOf));
        if (type.neverWritten !== undefined) return;
        loaded[0]!.note = 'changed';
        await other.flush();
        expect((await revive(entities))[0]!.note).toBe('changed');
      }),
      { numRuns },
    );
  });

  test('two spellings are one row exactly where PostgreSQL says so', async () => {
    await fc.assert(
      fc.asyncProperty(type.spellings, type.spellings, async (first, second) => {
        await empty(type);
        const { entities } = await flushed(type, first, 'first');
        const em = orm.em.fork();
        const again = em.create(type.alone, { id: second, note: 'second' } as never);
        const isOne = await isTaken(() => em.flush());
        const named = isOne ? orm.em.fork().getReference(type.alone, second as never) : again;
        if (type.asks !== true) expect(tokenOf(named) === tokenOf(entities[0]!)).toBe(isOne);
        statements.length = 0;
        const [one, two] = await revive([entities[0]!, named as Keyed]);
        expect([one!.note, two!.note]).toEqual(['first', isOne ? 'first' : 'second']);
        expect(one === two).toBe(isOne);
        const isRespelled = tokenOf(named) !== tokenOf(entities[0]!) && isOne;
        expect(selects(statements)).toHaveLength(isRespelled ? 2 : 1);
        expect((await revive([named]))[0]!.note).toBe(isOne ? 'first' : 'second');
      }),
      { numRuns: 3 * numRuns },
    );
  });
});

test('every type of PostgreSQL is one that keys are made of, or one that is refused', async () => {
  const rows = (await orm.em
    .fork()
    .getConnection()
    .execute(
      `select format_type(t.oid, null) as name from pg_type t join pg_namespace n on n.oid = typnamespace
       where nspname = 'pg_catalog' and typtype in ('b', 'r', 'm') and typrelid = 0`,
    )) as { name: string }[];
  expect(rows.length).toBeGreaterThan(100);
  expect(rows.map(({ name }) => name).filter((name) => !isKnown(name))).toEqual([]);
  expect(['some_int', 'hstore', 'my.type'].filter(isKnown)).toEqual([]);
});

test('MikroORM takes two Dates of one second for one key in its identity map, which the README says', async () => {
  const type = types.find(({ sql }) => sql === 'timestamptz(3)')!;
  await empty(type);
  const em = orm.em.fork();
  for (const ms of [100, 200]) await em.insert(type.alone, { id: new Date(ms), note: 'before' } as never);
  const rows = await em.find(type.alone, {});
  for (const row of rows) row.note = 'after';
  await em.flush();
  expect(rows).toHaveLength(2);
  expect(await orm.em.fork().count(type.alone, { note: 'after' })).toBe(1);
});
