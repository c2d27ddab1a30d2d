import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type EntityManager, EntitySchema, LockMode, ref, type Ref, type ScalarReference } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { inheritance, Vehicle } from '../../fixtures/inheritance.ts';
import { schemaOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { testWith } from '../support/test-with.ts';

class Owner {
  declare id: number;
  declare name: string;
}
class Pet {
  declare id: number;
  declare name: string;
  declare owner: Ref<Owner>;
  declare diary: ScalarReference<string>;
}

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase([
    ...inheritance,
    new EntitySchema<Owner>({
      class: Owner,
      properties: { id: { type: 'number', primary: true }, name: { type: 'string' } },
    }),
    new EntitySchema<Pet>({
      class: Pet,
      properties: {
        id: { type: 'number', primary: true },
        name: { type: 'string' },
        owner: { kind: 'm:1', entity: () => Owner, ref: true, eager: true },
        diary: { type: 'text', lazy: true, ref: true },
      },
    }),
  ]);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

beforeEach(async () => {
  await schemaOf(database.orm).clear();
  const run = (sql: string): Promise<unknown> => database.orm.em.fork().getConnection().execute(sql);
  await run(`insert into owner values (1, 'Ann')`);
  await run(`insert into pet (id, name, owner_id, diary) values (1, 'Rex', 1, 'woof'), (2, 'Bit', 1, 'yap')`);
  database.statements.length = 0;
});

const fork = (): EntityManager => database.orm.em.fork();
const pets = { $byref: 1, data: [{ $entity: ['Pet', 1] }, { $entity: ['Pet', 2] }] };

test('an eager relation is loaded, and keeps its unflushed changes', async () => {
  const [fresh] = await serializer.decode<Pet[]>(pets, { em: fork() });
  expect(fresh!.owner.unwrap().name).toBe('Ann');
  const em = fork();
  const owner = await em.findOneOrFail(Owner, 1);
  owner.name = 'Anna';
  const [pet] = await serializer.decode<Pet[]>(pets, { em });
  expect([pet!.owner.unwrap() === owner, owner.name]).toEqual([true, 'Anna']);
});

test('two calls at once on one EntityManager give the same objects', async () => {
  const em = fork();
  const [first, second] = await Promise.all([
    serializer.decode<Pet[]>(pets, { em }),
    serializer.decode<Pet[]>(pets, { em }),
  ]);
  expect(first!.every((pet, index) => pet === second![index])).toBe(true);
});

test('inside a transaction the global EntityManager is the transaction, and sees what it wrote', async () => {
  await fork().transactional(async (tx) => {
    tx.create(Owner, { id: 2, name: 'New' });
    await tx.flush();
    const data = { $byref: 1, data: { $entity: ['Owner', 2] } };
    const inside = await serializer.decode<Owner>(data);
    expect([
      inside.name,
      tx
        .getUnitOfWork()
        .getIdentityMap()
        .values()
        .includes(inside as never),
    ]).toEqual(['New', true]);
  });
});

testWith('connections')('outside the transaction what it wrote is missing until it commits', async () => {
  await fork().transactional(async (tx) => {
    tx.create(Owner, { id: 2, name: 'New' });
    await tx.flush();
    const data = { $byref: 1, data: { $entity: ['Owner', 2] } };
    const outside = database.orm.em.fork({ useContext: false });
    expect((await failureOf(() => serializer.decode(data, { em: outside }))).code).toBe('E_ENTITY_NOT_FOUND');
  });
});

test('a reference that the EntityManager has is filled in, not replaced', async () => {
  const em = fork();
  const reference = em.getReference(Owner, 1);
  const back = await serializer.decode<Owner>(
    { $byref: 1, data: { $entity: ['Owner', 1] } },
    { em, freshness: 'managed' },
  );
  expect([back === reference, reference.name]).toEqual([true, 'Ann']);
});

test('a lazy scalar travels as its value once it is loaded, and is refused before', async () => {
  const bare = await fork().findOneOrFail(Pet, 1);
  expect((await failureOf(() => serializer.serialize({ diary: bare.diary }))).code).toBe('E_UNSERIALIZABLE');
  const loaded = await fork().findOneOrFail(Pet, 1, { populate: ['diary'] });
  const back = await serializer.deserialize(serializer.serialize({ diary: loaded.diary }));
  expect(back).toEqual({ diary: 'woof' });
  expect(serializer.encode({ owner: ref(loaded.owner.unwrap()) })['data']).toEqual({
    owner: { $entity: ['Owner', 1] },
  });
});

test('a detached entity travels; it still names its row', async () => {
  const em = fork();
  const owner = await em.findOneOrFail(Owner, 1);
  em.clear();
  const back = await serializer.deserialize(serializer.serialize(owner), { em });
  expect([back.name, back === owner]).toEqual(['Ann', false]);
});

testWith('rowLocks')('rows of a table-per-type tree can be locked', async () => {
  const em = fork();
  em.create(Vehicle, { id: 1, wheels: 2 } as never);
  await em.flush();
  await fork().transactional(async (tx) => {
    database.statements.length = 0;
    const data = { $byref: 1, data: { $entity: ['Vehicle', 1] } };
    expect(await serializer.decode(data, { em: tx, lockMode: LockMode.PESSIMISTIC_WRITE })).toBeInstanceOf(Vehicle);
    expect(selects(database.statements)).toHaveLength(1);
  });
});
