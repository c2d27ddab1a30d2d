/** What MikroORM does by itself that the model suite goes round, or relies on: a MikroORM that does otherwise fails here. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, helper, ref, type Type } from '@mikro-orm/core';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver, type DriverName } from '../support/driver.ts';
import {
  Animal,
  Badge,
  Car,
  Dog,
  entities,
  hasStreams,
  hasTablePerType,
  Note,
  Person,
  Point,
  Team,
} from './entities.ts';
import type { Row } from './fields.ts';
import { type LEFT_OUT, type RELIED_ON, type TOLD } from './left-out.ts';
import { startingRows } from './starting-rows.ts';

let database: TestOrm;
let em: EntityManager;

/** With options of MikroORM's. */
async function open(options: object = {}, on: DriverName = driver): Promise<TestOrm> {
  const opened = await openDatabase(entities as never, { useBatchUpdates: false, ...options } as never, on);
  for (const sql of startingRows(on)) await opened.orm.em.getConnection().execute(sql);
  return opened;
}
/** The same, closed after it was used. */
async function using<T>(
  options: object,
  use: (own: TestOrm, em: EntityManager) => Promise<T>,
  on?: DriverName,
): Promise<T> {
  const own = await open(options, on);
  try {
    return await use(own, own.orm.em.fork());
  } finally {
    await own.close();
  }
}

beforeAll(async () => (database = await open()));
afterAll(() => database.close());
beforeEach(async () => {
  for (const sql of startingRows()) await execute(sql);
  em = database.orm.em.fork();
});

const execute = (sql: string): Promise<Row[]> => database.orm.em.getConnection().execute(sql) as Promise<Row[]>;
/** What a flush writes. */
async function written(own = em, { statements } = database): Promise<string[]> {
  statements.length = 0;
  await own.flush();
  return statements.filter((sql) => /^(?:insert|update|delete)/.test(sql));
}
const lazy = (...names: string[]): object => ({ populate: names });
const storedOf = (entity: object): Row => helper(entity as never).__originalEntityData as Row;
const updateOf = (table: string, ...columns: string[]) =>
  expect.stringMatching(new RegExp(`^update .${table}. set .*${columns.map((name) => `.${name}. = .*`).join('')}`));

const SHOWN: Record<keyof typeof LEFT_OUT | keyof typeof TOLD | keyof typeof RELIED_ON, () => Promise<void>> = {
  'columns of another class': async () => {
    await execute(`update animal set bark = 'v1' where id = 3`);
    await em.find(Animal, [3]);
    expect(await written()).toEqual([updateOf('animal', 'bark')]);
  },
  'em.refresh without the lazy properties that are loaded': async () => {
    const person = await em.findOneOrFail(Person, 1, lazy('bio', 'motto'));
    await execute(`update person set bio = 'new', motto = 'new'`);
    await em.refresh(person);
    expect([person.bio, person.motto.unwrap()]).toEqual(['v1', 'v1']);
    expect(await written()).toEqual(isMikroOrm6 ? [updateOf('person', 'motto')] : []);
  },
  'em.refresh of a row that was read in part in MikroORM 6': async () => {
    const person = await em.findOneOrFail(Person, 3, { fields: ['name'] as never });
    await em.refresh(person as Person);
    expect('history' in storedOf(person)).toBe(!isMikroOrm6);
  },
  'em.upsert of an entity with changes': async () => {
    const badge = await em.findOneOrFail(Badge, 1);
    badge.code = 'mine';
    await em.upsert(Badge, { id: 1, print: 'v2' } as never);
    expect([badge.code, await written()]).toEqual(['v1', []]);
  },
  'em.map of a row of several tables': async () => {
    if (!hasTablePerType) return expect(database.orm.getMetadata().find(Car as never)).toBeUndefined();
    const [row] = await execute('select * from car where id = 1');
    const car = em.map(Car, row as never) as Car;
    expect([car.doors, car.wheels, helper(car).isInitialized()]).toEqual([1, undefined, true]);
  },
  'a new entity whose key a row has': async () => {
    const badge = em.create(Badge, { id: 1, code: 'new' } as never);
    const [read] = await em.find(Badge, [1], { refresh: true, flushMode: 'commit' });
    expect([read === badge, badge.code, await written()]).toEqual([true, 'v1', []]);
  },
  'a row whose class changes': async () => {
    const [animal] = await em.find(Animal, [1]);
    await execute(`update animal set type = 'cat' where id = 1`);
    await em.find(Animal, [1]);
    expect(animal).toBeInstanceOf(Dog);
    await em.find(Animal, [1], { refresh: true });
    expect([animal!.constructor.name, (animal as Dog).bark]).toEqual(['Cat', 'v1']);
  },
  'an update of a row whose class has changed': async () => {
    const dog = await em.findOneOrFail(Dog, 1);
    await execute(`update animal set type = 'cat' where id = 1`);
    dog.name = 'mine';
    expect(await written()).toEqual([updateOf('animal', 'name')]);
    expect(await execute('select name from animal where id = 1')).toEqual([{ name: 'v1' }]);
  },
  'how often a pivot row is inserted': async () => {
    const person = await em.findOneOrFail(Person, 3, lazy('teams'));
    const team = await em.findOneOrFail(Team, 3);
    team.members.add(person);
    const insert = expect.stringMatching(/^insert into .person_teams. /);
    expect(await written()).toEqual([insert, insert]);
  },
  'NULL of an embedded array in MikroORM 6': async () => {
    const person = await em.findOneOrFail(Person, 3);
    expect(person.history).toBe(isMikroOrm6 ? undefined : null);
    person.history = null;
    expect(await written()).toEqual([]);
  },
  'the 1:1 of a row that was read in part in MikroORM 6': async () => {
    await em.find(Badge, [2]);
    await em.findOneOrFail(Person, 2, { fields: ['name'] as never });
    expect(await execute('select badge_id from person where id = 2')).toEqual([{ badge_id: 2 }]);
    expect(await written()).toEqual(isMikroOrm6 ? [updateOf('person', 'badge_id')] : []);
  },
  'what pointed to a row that was removed': async () => {
    const person = await em.findOneOrFail(Person, 1);
    em.remove(await em.findOneOrFail(Badge, 1));
    await em.flush();
    expect(person.badge).toBeUndefined();
  },
  'populate of `pets` by a join': async () => {
    const petsBy = async (strategy: string): Promise<number[]> => {
      const options = { ...lazy('pets'), strategy } as object;
      const person = await database.orm.em.fork().findOneOrFail(Person, 1, options);
      return person.pets.getIdentifiers() as never;
    };
    expect([await petsBy('select-in'), await petsBy('joined')]).toEqual([[1, 2], []]);
  },
  'into how many updates a flush splits a 1:1 that moves': async () => {
    const moved = async (first: number, second: number): Promise<number> => {
      const own = database.orm.em.fork();
      for (const id of [first, second]) await own.findOneOrFail(Person, id, lazy('badge'));
      (await own.findOneOrFail(Person, second)).badge = (await own.findOneOrFail(Person, first)).badge;
      return (await written(own)).length;
    };
    const sizes = new Set([await moved(1, 2), await moved(2, 1)]);
    expect(sizes.size).toBe(2);
  },
  'em.stream, tables per type in MikroORM 6': async () => {
    expect([hasStreams, hasTablePerType]).toEqual([!isMikroOrm6, !isMikroOrm6]);
    expect('stream' in em).toBe(!isMikroOrm6);
  },
  'a 1:1 that has gone over to another row': async () => {
    await em.find(Person, [1]);
    await execute('update person set badge_id = null where id = 1');
    await execute('update person set badge_id = 1 where id = 2');
    await em.find(Person, [2]);
    expect(await written()).toEqual([updateOf('person', 'badge_id')]);
  },
  'JSON with its keys in another order': async () => {
    const person = await em.findOneOrFail(Person, 1);
    expect(Object.keys(person.prefs!)).toEqual(['list', 'theme']);
    person.prefs = { theme: 'v1', list: ['v1'] };
    expect(await written()).toEqual([updateOf('person', 'prefs')]);
  },
  // With an ORM of their own, last: its classes belong to the one that was opened last.
  'updates of several rows in one statement': () =>
    using({ useBatchUpdates: true }, async (_own, ownEm) => {
      const badge = await ownEm.findOneOrFail(Badge, 2);
      badge.person = ref(await ownEm.findOneOrFail(Person, 1));
      await expect(ownEm.flush()).rejects.toThrow(/multiple assignments to same column/);
    }),
  'what a flush writes of lists and embedded objects in JSON with `forceEntityConstructor`': () =>
    using({ forceEntityConstructor: true }, async (own, ownEm) => {
      await ownEm.find(Person, [1]);
      expect(await written(ownEm, own)).toEqual([updateOf('person', 'settings', 'history')]);
    }),
  'in which order rows come, with `forceEntityConstructor`': () =>
    using({ forceEntityConstructor: true }, async (own) => {
      const flushedAfter = async (order: 'asc' | 'desc'): Promise<string> => {
        const ownEm = own.orm.em.fork();
        await ownEm.find(Person, [1, 3], { orderBy: { id: order } } as never);
        await own.orm.em.getConnection().execute('update person set version = 9 where id = 1');
        return ownEm.flush().then(
          () => 'flushed',
          (error: Error) => error.name,
        );
      };
      expect([await flushedAfter('asc'), await flushedAfter('desc')]).toEqual(['OptimisticLockError', 'flushed']);
    }),
  'a row that a query meets on two ways, with `forceEntityConstructor` in MikroORM 6': () =>
    using({ forceEntityConstructor: true }, async (own, ownEm) => {
      await ownEm.find(Person, [1], lazy('teams.members', 'badge.person'));
      own.statements.length = 0;
      // Two updates of one version may be a conflict besides.
      await ownEm.flush().catch((error: Error) => expect(error.name).toBe('OptimisticLockError'));
      expect(own.statements.some((sql) => /^update .*badge_id. = /.test(sql))).toBe(isMikroOrm6);
    }),
  'em.refresh that the result cache answers, beside an entity with changes': () =>
    using(
      { resultCache: { global: 60_000 } },
      async (own, ownEm) => {
        const person = await ownEm.findOneOrFail(Person, 1);
        person.name = 'mine';
        await ownEm.refresh(await ownEm.findOneOrFail(Note, 2));
        expect([person.name, await written(ownEm, own)]).toEqual(['mine', []]);
      },
      'sqlite',
    ),
  'custom types and the result cache in MikroORM 6': () =>
    using({ resultCache: { global: 60_000 } }, async (own, ownEm) => {
      const type = own.orm.getMetadata().get(Person as never).properties['spot' as never]!['customType'] as Type;
      const { convertToJSValue } = type;
      const given: unknown[] = [];
      type.convertToJSValue = (value, ...more) => {
        given.push(value);
        return convertToJSValue.call(type, value, ...more);
      };
      for (let times = 0; times < 2; times++) await ownEm.find(Person, [1]);
      expect(given.some((value) => value instanceof Point)).toBe(isMikroOrm6);
    }),
  'an embedded object in another, NULL in all its columns': () =>
    using({ resultCache: { global: 60_000 } }, async (own, ownEm) => {
      for (let times = 0; times < 2; times++) await ownEm.findOneOrFail(Person, 2, lazy('address.memo'));
      expect(await written(ownEm, own)).toEqual([updateOf('person', 'address_geo_lat', 'address_geo_zone')]);
    }),
};

describe('MikroORM by itself', () => {
  test.each(Object.entries(SHOWN))('%s', (_what, show) => show());
});
