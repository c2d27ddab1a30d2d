/** An EntityManager that manages many rows: what one more reference costs there, and that it still meets its own object. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type EntityManager, type EntityMetadata, EntitySchema } from '@mikro-orm/core';
import { type DeserializeOptions, EntitySerializer } from 'mikro-orm-byref';
import { PrimaryKey } from '../../src/keys/primary-key.ts';
import { storeOf } from '../../src/orm/identity-map.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

interface Row {
  readonly rank: number;
  readonly parent?: Row | null;
}

interface Kind {
  readonly properties: Record<string, object>;
  /** The key of a row, by property. */
  key(index: number): object;
}

const MANAGED = 300;

const single = (property: object, value: (index: number) => unknown): Kind => ({
  properties: { id: { ...property, primary: true } },
  key: (index) => ({ id: value(index) }),
});
const text = (columnType: string) => ({ type: 'string', columnType });
const instant = { type: 'Date', columnType: 'timestamptz(3)' };
const instantOf = (index: number) => new Date(index * 1_000);

const KINDS: Readonly<Record<string, Kind>> = {
  int: single({ type: 'integer' }, (index) => index + 1),
  bigint: single({ type: 'bigint' }, (index) => BigInt(index + 1)),
  uuid: single({ type: 'uuid' }, () => randomUUID()),
  varchar: single(text('varchar(20)'), (index) => `row ${index}`),
  char: single(text('char(20)'), (index) => `row ${index}`),
  numeric: single({ type: 'decimal', precision: 10, scale: 2 }, (index) => `${index}.50`),
  bytea: single({ type: 'Buffer' }, (index) => Buffer.from(`row ${index}`)),
  date: single({ type: 'date' }, (index) =>
    instantOf(index * 86_400)
      .toISOString()
      .slice(0, 10),
  ),
  time: single(text('time'), (index) => instantOf(index).toISOString().slice(11, 19)),
  timestamptz: single(instant, instantOf),
  'timestamptz as text': single({ ...text('timestamptz(6)'), runtimeType: 'string' }, (index) =>
    instantOf(index).toISOString(),
  ),
  'enum and int': {
    properties: {
      kind: { enum: true, items: ['a', 'b'], nativeEnumName: 'some_kind', primary: true },
      id: { type: 'integer', primary: true },
    },
    key: (index) => ({ kind: index % 2 === 0 ? 'a' : 'b', id: index }),
  },
  'uuid and timestamptz': {
    properties: { id: { type: 'uuid', primary: true }, at: { ...instant, primary: true } },
    key: (index) => ({ id: randomUUID(), at: instantOf(index) }),
  },
  'a foreign key': {
    properties: { of: { kind: 'm:1', entity: () => models['numeric'], primary: true } },
    key: (index) => ({ of: `${index}.50` }),
  },
};

const modelOf = (name: string): new () => Row =>
  ({
    [name]: class {
      declare rank: number;
    },
  })[name]!;

const models = Object.fromEntries(Object.keys(KINDS).map((name, index) => [name, modelOf(`Model${index}`)]));

class ByUuid {
  declare id: string;
}

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  const schemas = Object.entries(KINDS).map(([name, { properties }]) => {
    const model = models[name]!;
    const parent = { kind: 'm:1', entity: () => model, nullable: true };
    return new EntitySchema({
      class: model,
      properties: { ...properties, rank: { type: 'integer' }, parent },
    } as never);
  });
  const byUuid = new EntitySchema({ class: ByUuid, properties: { id: { type: 'uuid', primary: true } } });
  database = await openDatabase([...schemas, byUuid], { schemaGenerator: { createForeignKeyConstraints: false } });
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

const ITERATORS = ['keys', 'values', 'entries', Symbol.iterator] as const;

interface Looks {
  /** How often a managed entity, or the text by which it is filed, is passed on the way. */
  readonly passed: number;
  /** How often the key of an entity is made canonical. */
  readonly canonicalized: number;
}

async function looksAt(em: EntityManager, model: new () => Row, run: () => Promise<unknown>): Promise<Looks> {
  const spy = jest.spyOn(PrimaryKey.prototype, 'canonicalOf');
  const store = storeOf(em, em.getMetadata().get(model as never) as EntityMetadata) as unknown as Record<
    PropertyKey,
    unknown
  >;
  let passed = 0;
  for (const name of ITERATORS) {
    const iterate = store[name] as () => Iterable<unknown>;
    store[name] = function* () {
      for (const item of iterate.call(store)) {
        passed++;
        yield item;
      }
    };
  }
  try {
    await run();
    return { passed, canonicalized: spy.mock.calls.length };
  } finally {
    spy.mockRestore();
    for (const name of ITERATORS) delete store[name];
  }
}

const keyOf = (em: EntityManager, model: new () => Row, row: Row): object => {
  const { primaryKeys } = em.getMetadata().get(model as never);
  return Object.fromEntries(primaryKeys.map((name) => [name, row[name as keyof Row]]));
};

/** Rows in pairs of a parent and its child, of which the children have odd ranks. */
async function insert(name: string): Promise<void> {
  const [kind, em] = [KINDS[name]!, database.orm.em.fork()];
  const keys = Array.from({ length: MANAGED + 40 }, (_, index) => kind.key(index));
  const flat = (key: object): unknown => (Object.keys(key).length === 1 ? Object.values(key)[0] : Object.values(key));
  for (const odd of [0, 1]) {
    const rows = keys.flatMap((key, rank) =>
      rank % 2 === odd ? [{ ...key, rank, parent: odd === 1 ? flat(keys[rank - 1]!) : null }] : [],
    );
    await em.insertMany(models[name] as never, rows as never);
  }
}

/** With a Date in its foreign key, which MikroORM takes for changed as soon as it has read it. */
const TAKEN_FOR_CHANGED = new Set(['timestamptz', 'uuid and timestamptz']);

/** The zone that the driver spells it in is that of the session, which nobody here knows. */
const SPELLED_BY_SESSION = 'timestamptz as text';

/** What one reference looks at of what is none of its own. */
const FEW = 15;

const WAYS: readonly ((name: string) => Omit<DeserializeOptions, 'em'>)[] = [
  () => ({}),
  (name) => ({ populate: { [name]: ['parent'] } }),
  () => ({ unflushed: 'throw' }),
  () => ({ freshness: 'managed' }),
];

test.each(Object.keys(KINDS))('%s: one reference costs by itself, and not by what is managed', async (name) => {
  const model = models[name]!;
  await insert(name);
  const em = database.orm.em.fork();
  const managed = await em.find(model, { rank: { $lt: MANAGED } });
  const others = await em.fork().find(model, { rank: { $gte: MANAGED } });
  const children = others.filter(({ parent }) => parent);
  const revive = (row: Row, options = {}) =>
    looksAt(em, model, () => serializer.deserialize(serializer.serialize([row]), { em, ...options }));
  const next = (): Row => children.pop()!;
  expect(managed).toHaveLength(MANAGED);
  // The first one passes the texts of all keys, once, and looks at no entity that was read.
  const first = await revive(next());
  expect(first.passed).toBeLessThan(FEW + MANAGED);
  expect(first.canonicalized).toBeLessThan(FEW + (name === SPELLED_BY_SESSION ? MANAGED : 0));
  for (const options of WAYS.map((way) => way(model.name))) {
    if (options.unflushed === 'throw' && TAKEN_FOR_CHANGED.has(name)) continue;
    for (const row of [next(), managed[0]!, next()]) {
      const { passed, canonicalized } = await revive(row, options);
      expect(passed + canonicalized).toBeLessThan(FEW);
    }
    database.statements.length = 0;
    if (options.freshness === 'managed') await revive(managed[0]!, options);
    expect(database.statements).toEqual([]);
    // What the application does meanwhile makes nobody look at all again.
    const [loaded] = await em.find(model, keyOf(em, model, next()));
    em.getUnitOfWork(false).unsetIdentity(loaded as never);
    await em.find(model, keyOf(em, model, managed[1]!), { refresh: true });
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
