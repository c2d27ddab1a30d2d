/** A payload's way there and back, in every configuration of MikroORM that changes what a serializer meets. */
import { describe, expect, test } from '@jest/globals';
import {
  Collection,
  EntityCaseNamingStrategy,
  type EntityManager,
  EntitySchema,
  MongoNamingStrategy,
  type Ref,
} from '@mikro-orm/core';
import type { Options } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { selects } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { has } from '../support/driver.ts';

class Money {
  declare amount: number | null;
  declare currencyCode: string | null;
}
class Person {
  declare id: number;
  declare firstName: string;
  declare nickName: string | null;
  declare bornAt: Date | null;
  declare wealth: Money | null;
  declare prefs: { theme?: string } | null;
  declare boss: Person | null;
  declare home: Ref<Home> | null;
  orders = new Collection<Order>(this);
  clubs = new Collection<Club>(this);
}
class Home {
  declare id: string;
  declare streetName: string;
  declare owner: Ref<Person> | null;
}
class Order {
  declare buyer: Person;
  declare orderNo: bigint;
  declare total: string | null;
  declare version: number;
}
class Club {
  declare id: number;
  declare kind: 'club' | 'bigClub';
  members = new Collection<Person>(this);
}
class BigClub extends Club {
  declare maxSize: number | null;
}

const entities = [
  new EntitySchema({
    class: Money,
    embeddable: true,
    properties: {
      amount: { type: 'integer', nullable: true },
      currencyCode: { type: 'string', nullable: true },
    },
  }),
  new EntitySchema<Person>({
    class: Person,
    properties: {
      id: { type: 'integer', primary: true },
      firstName: { type: 'string' },
      nickName: { type: 'string', nullable: true },
      bornAt: { type: 'Date', nullable: true },
      wealth: { kind: 'embedded', entity: () => Money, nullable: true },
      prefs: { type: 'json', nullable: true },
      boss: { kind: 'm:1', entity: () => Person, nullable: true },
      home: { kind: '1:1', entity: () => Home, owner: true, inversedBy: 'owner', ref: true, nullable: true },
      orders: { kind: '1:m', entity: () => Order, mappedBy: 'buyer' },
      clubs: { kind: 'm:n', entity: () => Club, owner: true, inversedBy: 'members' },
    } as never,
  }),
  new EntitySchema<Home>({
    class: Home,
    properties: {
      id: { type: 'uuid', primary: true },
      streetName: { type: 'string' },
      owner: { kind: '1:1', entity: () => Person, mappedBy: 'home', ref: true, nullable: true },
    } as never,
  }),
  new EntitySchema<Order>({
    class: Order,
    properties: {
      buyer: { kind: 'm:1', entity: () => Person, primary: true },
      orderNo: { type: 'bigint', primary: true },
      total: { type: 'decimal', precision: 8, scale: 2, nullable: true },
      version: { type: 'integer', version: true },
    } as never,
  }),
  new EntitySchema<Club>({
    class: Club,
    discriminatorColumn: 'kind',
    discriminatorValue: 'club',
    properties: {
      id: { type: 'integer', primary: true },
      kind: { enum: true, items: ['club', 'bigClub'] },
      members: { kind: 'm:n', entity: () => Person, mappedBy: 'clubs' },
    } as never,
  }),
  new EntitySchema<BigClub>({
    class: BigClub,
    extends: 'Club' as never,
    discriminatorValue: 'bigClub',
    properties: { maxSize: { type: 'integer', nullable: true } } as never,
  }),
];

const home = '0b6a7e2c-4c2e-4e8e-9a53-7d5d3a1f0c11';

async function fill(em: EntityManager): Promise<void> {
  const make = <T extends object>(cls: new () => T, data: object): T => em.create(cls, data as never);
  const big = make(BigClub, { id: 2, kind: 'bigClub', maxSize: 9 });
  const clubs = [1, 3].map((id) => make(Club, { id, kind: 'club' }));
  const house = make(Home, { id: home, streetName: 'Main' });
  const ann = make(Person, { id: 1, firstName: 'Ann', home: house, clubs, prefs: { theme: 'dark' } });
  ann.bornAt = new Date('2000-01-01T00:00:00.000Z');
  const bob = make(Person, { id: 2, firstName: 'Bob', boss: ann, wealth: { amount: 5, currencyCode: 'EUR' } });
  const order = make(Order, { buyer: bob, orderNo: 7n, total: '1.50' });
  // For `persistOnCreate: false`.
  em.persist([...clubs, big, house, ann, bob, order]);
  await em.flush();
}

const configurations: Record<string, Partial<Options>> = {
  'none of them': {},
  'forceUndefined: true': { forceUndefined: true },
  'forceEntityConstructor: true': { forceEntityConstructor: true },
  'forceEntityConstructor, and forceUndefined': { forceEntityConstructor: true, forceUndefined: true },
  'persistOnCreate: false': { persistOnCreate: false },
  'autoJoinOneToOneOwner: false': { autoJoinOneToOneOwner: false },
  'autoJoinRefsForFilters: false': { autoJoinRefsForFilters: false } as never,
  'propagationOnPrototype: false': { propagationOnPrototype: false } as never,
  'validate: true': { validate: true } as never,
  'strict: true': { strict: true } as never,
  'validateRequired: false': { validateRequired: false },
  'names as in the entities': { namingStrategy: EntityCaseNamingStrategy },
  'names as in MongoDB': { namingStrategy: MongoNamingStrategy },
  "hashAlgorithm: 'sha256'": { hashAlgorithm: 'sha256' } as never,
  'batchSize: 1': { batchSize: 1 },
  'useBatchInserts, useBatchUpdates: false': { useBatchInserts: false, useBatchUpdates: false },
  'serialization.forceObject: true': { serialization: { forceObject: true } },
  'serialization.includePrimaryKeys: false': { serialization: { includePrimaryKeys: false } },
  "loadStrategy: 'joined'": { loadStrategy: 'joined' } as never,
  "loadStrategy: 'select-in'": { loadStrategy: 'select-in' } as never,
  ...(!isMikroOrm6 && { "loadStrategy: 'balanced'": { loadStrategy: 'balanced' } as never }),
  'dataloader: true': { dataloader: true } as never,
  'ignoreUndefinedInQuery: true': { ignoreUndefinedInQuery: true },
  'upsertManaged: false': { upsertManaged: false } as never,
  'implicitTransactions: false': { implicitTransactions: false },
  'disableTransactions: true': { disableTransactions: true },
  'allowGlobalContext: true': { allowGlobalContext: true },
  "flushMode: 'always'": { flushMode: 'always' } as never,
  "populateWhere: 'infer'": { populateWhere: 'infer' } as never,
  "timezone: '+02:00'": { timezone: '+02:00' },
  'populateAfterFlush: false': { populateAfterFlush: false },
  'processOnCreateHooksEarly: false': { processOnCreateHooksEarly: false } as never,
  ...(has('schemas') && { "schema: 'shop'": { schema: 'shop' } }),
};

describe.each(Object.entries(configurations))('%s', (_name, configuration) => {
  test('there and back: the same rows, the same objects, one query per model, and nothing to flush', async () => {
    const database = await openDatabase(entities, configuration);
    const serializer = new EntitySerializer(database.orm);
    const fork = () => database.orm.em.fork();
    try {
      await fill(fork());
      const em = fork();
      const [ann, bob] = await em.find(Person, {}, { orderBy: { id: 'asc' }, populate: ['clubs', 'orders'] as never });
      const value = {
        people: [ann, bob, ann],
        boss: bob!.boss,
        home: ann!.home,
        order: bob!.orders[0],
        clubs: ann!.clubs,
        club: await em.findOneOrFail(Club, 2),
        reference: em.getReference(Person, 2),
      };
      const payload = serializer.serialize(value);
      expect(JSON.parse(payload)).toEqual({
        $byref: 1,
        data: {
          people: [{ $entity: ['Person', 1] }, { $entity: ['Person', 2] }, { $entity: ['Person', 1] }],
          boss: { $entity: ['Person', 1] },
          home: { $entity: ['Home', home] },
          order: { $entity: ['Order', [2, { $bigint: '7' }]] },
          clubs: [{ $entity: ['Club', 1] }, { $entity: ['Club', 3] }],
          club: { $entity: ['BigClub', 2] },
          reference: { $entity: ['Person', 2] },
        },
      });
      for (const freshness of ['refresh', 'managed'] as const) {
        const receiver = fork();
        database.statements.length = 0;
        const back = (await serializer.deserialize(payload, { em: receiver, freshness })) as never as typeof value & {
          people: Person[];
          clubs: Club[];
          home: Home;
        };
        expect(selects(database.statements)).toHaveLength(4);
        expect(back.people[0] === back.people[2] && back.people[0] === back.boss).toBe(true);
        expect(back.reference === back.people[1] && back.people[1].boss === back.boss).toBe(true);
        expect(back.order!.buyer === back.people[1] && back.clubs.length === 2).toBe(true);
        expect(back.club).toBeInstanceOf(BigClub);
        expect([back.boss!.firstName, back.boss!.prefs, back.home.streetName]).toEqual([
          'Ann',
          { theme: 'dark' },
          'Main',
        ]);
        expect([back.people[1]!.wealth?.amount, back.boss!.bornAt?.getTime()]).toEqual([5, Date.UTC(2000, 0, 1)]);
        expect(back.order).toMatchObject({ orderNo: 7n, version: 1 });
        expect(Number(back.order!.total)).toBe(1.5);
        // Once more, with what `populate` brings, into what is there.
        const populate = { Person: ['home', 'boss', 'orders', 'clubs'] };
        const again = (await serializer.deserialize(payload, {
          em: receiver,
          freshness,
          populate,
        })) as never as typeof back;
        expect(again.people[0] === back.people[0] && again.home === back.home).toBe(true);
        expect(again.people[0]!.clubs.getIdentifiers().toSorted()).toEqual([1, 3]);
        expect(again.people[1]!.orders[0] === back.order).toBe(true);
        database.statements.length = 0;
        await receiver.flush();
        expect(database.statements).toEqual([]);
        back.boss!.nickName = `nick ${freshness}`;
        await receiver.flush();
        expect(database.statements.filter((sql) => /^(?:insert|update|delete)/.test(sql))).toHaveLength(1);
        expect((await fork().findOneOrFail(Person, 1)).nickName).toBe(`nick ${freshness}`);
      }
    } finally {
      await database.close();
    }
  });
});
