import 'reflect-metadata';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySchema } from '@mikro-orm/core';
import { ByReference, EntitySerializer, type EntityType } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { ByValue, defineDto, ref } from 'mikro-orm-byref/class-transformer';
import { type Change, inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User, UserSchema } from '../../fixtures/domain.ts';
import { isMikroOrm6, schemaOf } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { soon } from '../support/soon.ts';

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

beforeEach(async () => {
  await schemaOf(database.orm).clear();
  const em = database.orm.em.fork();
  em.create(User, { id: 1, name: 'Bob', email: 'bob@example' });
  await em.flush();
});

/** As a hot reload imports it anew, after the ORM has been built. */
const Reloaded = { User: class {} }.User as unknown as typeof User;
const properties = { id: { type: 'number', primary: true } } as const;
const ReloadedSchema = new EntitySchema({ class: { User: class {} }.User, properties } as never);

const named: [string, EntityType][] = [
  ['the class', User],
  ['its schema', UserSchema],
  ['the class imported anew', Reloaded],
  ['its schema imported anew', ReloadedSchema],
];

describe.each(named)('%s is taken', (_name, type) => {
  const token = { $entity: ['User', 1] };
  const em = () => database.orm.em.fork();

  test('by only, verify, revive and locate', async () => {
    const only = [type];
    expect(await serializer.decode({ $byref: 1, data: token }, { only, em: em() })).toBeInstanceOf(User);
    expect(await serializer.revive(token, { only, em: em() })).toBeInstanceOf(User);
    const bob = await em().findOneOrFail(User, 1);
    expect(await serializer.locate(serializer.token(bob).toString(), { only, em: em() })).toBeInstanceOf(User);
    const signing = new EntitySerializer(database.orm, { signingKeys: ['0123456789abcdef0123456789abcdef'] });
    const text = signing.sign(bob, { purpose: 'a', expiresAt: null });
    expect(await signing.verify(text, { purpose: 'a', only, em: em() })).toBeInstanceOf(User);
  });

  test('by a reference of a DTO, on both ways', async () => {
    class Mail {
      to!: User;
    }
    defineDto(Mail, { to: ref(() => type, { only: [type] }) });
    ByValue('Mail')(Mail);
    const own = new EntitySerializer(database.orm, { values: [Mail] });
    const mail = Object.assign(new Mail(), { to: await em().findOneOrFail(User, 1) });
    for (const back of [
      await own.decode(own.encode({ to: mail.to }), { as: Mail, em: em() }),
      await own.decode(own.encode(mail), { em: em() }),
    ]) {
      expect([back.constructor, back.to.constructor]).toEqual([Mail, User]);
    }
  });

  test('by dependsOn and touch', async () => {
    const cache = new EntityCache(serializer, inMemory(), { singleProcess: true });
    let made = 0;
    const read = () => cache.getOrSet({ key: 'a', ttlMs: 60_000, dependsOn: [type], factory: () => ++made });
    expect([await read(), await read()]).toEqual([1, 1]);
    const own = em();
    (await own.findOneOrFail(User, 1)).name = 'Robert';
    await own.flush();
    expect(await read()).toBe(2);
    await cache.touch(type, { id: 1 } as never);
    expect(await read()).toBe(3);
  });

  test('by onFlush', async () => {
    const tasks = new Tasks(serializer, inlineEngine());
    const seen: unknown[] = [];
    const index = tasks.define(
      'index',
      async ({ change, token: { primaryKey } }: Change) => void seen.push([change, primaryKey]),
      {
        missing: 'null',
      },
    );
    tasks.onFlush([type], index as never);
    await tasks.work();
    const own = em();
    (await own.findOneOrFail(User, 1)).name = 'Robert';
    await own.flush();
    await soon(() => seen.length > 0);
    expect(seen).toEqual([['update', 1]]);
    await tasks.stop();
  });
});

// MikroORM 6 takes no two.
if (!isMikroOrm6) {
  test('two classes of one name, told apart by what they declare: each row is read from its own table', async () => {
    const models = ['first', 'second'].map((table) => {
      const Detail = { Detail: class {} }.Detail as new () => { note: string };
      ByReference({ name: `${table}.Detail` })(Detail);
      const note = { type: 'string', lazy: true };
      const id = { type: 'number', primary: true };
      return {
        Detail,
        schema: new EntitySchema({ class: Detail, tableName: table, properties: { id, note } } as never),
      };
    });
    const [first, second] = models as [(typeof models)[0], (typeof models)[0]];
    class Owner {
      declare id: number;
    }
    const to = ({ Detail }: (typeof models)[0]) => ({ kind: 'm:1', entity: () => Detail });
    const owner = new EntitySchema({
      class: Owner,
      properties: { id: { type: 'number', primary: true }, one: to(first), two: to(second) },
    } as never);
    const own = await openDatabase([first.schema, second.schema, owner]);
    const writing = own.orm.em.fork();
    const [one, two] = models.map(({ Detail }, index) =>
      writing.create(Detail, { id: index + 1, note: 'old' } as never),
    );
    const ownerOfBoth = writing.create(Owner, { id: 1, one, two } as never);
    await writing.flush();
    const connection = own.orm.em.fork().getConnection();
    await connection.execute(`update first set note = 'new'`);
    await connection.execute(`update second set note = 'newer'`);
    const serializing = new EntitySerializer(own.orm, { populate: { Owner: ['one', 'two'] } });
    await serializing.deserialize(serializing.serialize([ownerOfBoth]), { em: writing });
    expect([one!.note, two!.note]).toEqual(['new', 'newer']);
    await own.close();
  });
}
