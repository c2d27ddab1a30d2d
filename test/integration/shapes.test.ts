/** Entities of shapes that those of test/model do not have, each as its row is and nothing to flush. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EntitySchema, helper, Reference, Utils } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

const id = { type: 'integer', primary: true, autoincrement: false } as const;
const key = { type: 'integer', primary: true } as const;
const shared = (own: string) => ({ fieldNames: ['tenant', own], ownColumns: [own], deleteRule: 'no action' });
const text = { type: 'string', nullable: true } as const;
const schema = (options: object): EntitySchema => new EntitySchema(options as never) as never;

class Tag {
  declare label: string | null;
  declare size: number | null;
}
class Settings {
  declare theme: string | null;
  declare tag: Tag | null;
  declare tags: Tag[] | null;
}
class Pet {
  declare kind: string;
  declare name: string | null;
}
class Cat extends Pet {
  declare lives: number | null;
}
class Dog extends Pet {
  declare bark: string | null;
}
class Owner {
  declare id: number;
  declare name: string | null;
  declare settings: Settings | null;
  /** In columns, in JSON, and in a list. */
  declare pet: Cat | Dog | null;
  declare other: Cat | Dog | null;
  declare more: (Cat | Dog)[] | null;
  /** By their keys alone. */
  declare friend: number | null;
  declare partner: number | null;
  declare boss: Owner | null;
}

/** Made by its constructor. */
class Built {
  declare id: number;
  title: string | null;
  settings: Settings | null = null;
  owner: Owner | null;
  constructor(title: string | null, owner: Owner | null) {
    this.title = title;
    this.owner = owner;
  }
}
class Desk {
  declare tenant: number;
  declare number: number;
}
class Clerk {
  declare tenant: number;
  declare id: number;
  declare name: string | null;
  /** By a column of its own and one that it shares with the key. */
  declare desk: Desk | null;
  declare boss: Clerk | null;
}

const pets = () => [Cat, Dog];
const entities = [
  schema({ class: Tag, embeddable: true, properties: { label: text, size: { type: 'integer', nullable: true } } }),
  schema({
    class: Settings,
    embeddable: true,
    properties: {
      theme: { ...text, fieldName: 'the_theme' },
      tag: { kind: 'embedded', entity: () => Tag, nullable: true },
      tags: { kind: 'embedded', entity: () => Tag, array: true, nullable: true },
    },
  }),
  schema({
    class: Pet,
    embeddable: true,
    abstract: true,
    discriminatorColumn: 'kind',
    properties: { kind: { type: 'string' }, name: text },
  }),
  schema({
    class: Cat,
    embeddable: true,
    extends: 'Pet',
    discriminatorValue: 'cat',
    properties: { lives: { type: 'integer', nullable: true } },
  }),
  schema({ class: Dog, embeddable: true, extends: 'Pet', discriminatorValue: 'dog', properties: { bark: text } }),
  schema({
    class: Owner,
    properties: {
      id,
      name: text,
      settings: { kind: 'embedded', entity: () => Settings, object: true, nullable: true },
      pet: { kind: 'embedded', entity: pets, nullable: true },
      other: { kind: 'embedded', entity: pets, object: true, nullable: true },
      more: { kind: 'embedded', entity: pets, array: true, nullable: true },
      friend: { kind: 'm:1', entity: () => Owner, mapToPk: true, nullable: true },
      partner: { kind: '1:1', entity: () => Owner, owner: true, mapToPk: true, nullable: true },
      boss: { kind: 'm:1', entity: () => Owner, nullable: true },
    },
  }),
  schema({
    class: Built,
    forceConstructor: true,
    properties: {
      id,
      title: text,
      settings: { kind: 'embedded', entity: () => Settings, object: true, nullable: true },
      owner: { kind: 'm:1', entity: () => Owner, nullable: true },
    },
  }),
  schema({ class: Desk, properties: { tenant: key, number: key } }),
  schema({
    class: Clerk,
    properties: {
      tenant: key,
      id: key,
      name: text,
      desk: { kind: 'm:1', entity: () => Desk, nullable: true, ...shared('desk_number') },
      boss: { kind: 'm:1', entity: () => Clerk, nullable: true, ...shared('boss_id') },
    },
  }),
];

let database: TestOrm;
let serializer: EntitySerializer;
beforeAll(async () => {
  database = await openDatabase(entities);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

const fork = () => database.orm.em.fork();
type Em = ReturnType<typeof fork>;
const execute = (sql: string) => fork().getConnection().execute(sql);

const SETTINGS = '{"the_theme":"dark","tag":{"label":"a","size":1},"tags":[{"label":"b","size":2}]}';
const CAT = '{"kind":"cat","name":"Tom","lives":9}';

async function fill(): Promise<void> {
  for (const table of ['built', 'owner']) await execute(`delete from ${table}`);
  await execute(`insert into owner (id, name) values (2, 'Bob')`);
  await execute(`insert into owner (id, name, settings, pet_kind, pet_name, pet_lives, other, more, friend_id, partner_id)
    values (1, 'Ann', '${SETTINGS}', 'cat', 'Tom', 9, '${CAT}', '[${CAT}]', 2, 2)`);
  await execute(`insert into owner (id, name, boss_id) values (3, 'Cid', 1)`);
}

const revive = (em: Em, options: object = {}, key = 1) =>
  serializer.decode<Owner>({ $byref: 1, data: { $entity: ['Owner', key] } } as never, { em, ...options });

async function written(em: Em): Promise<string[]> {
  database.statements.length = 0;
  await em.flush();
  return database.statements.filter((sql) => /^(?:insert|update|delete)/.test(sql));
}

const read: Record<string, (em: Em) => Promise<unknown>> = {
  nothing: async () => undefined,
  'a reference': async (em) => em.getReference(Owner, 1),
  'a part of it': (em) => em.findOneOrFail(Owner, 1, { fields: ['settings', 'pet'] as never }),
  'all of it': (em) => em.findOneOrFail(Owner, 1),
};

/** Values with the classes of objects, entities as their keys. */
function described(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(described);
  if (value === null || typeof value !== 'object') return value;
  if (Reference.isReference(value) || Utils.isEntity(value)) return helper(value as object).getPrimaryKey();
  const members = Object.entries(value as object).filter(([, member]) => member !== undefined);
  return [
    (value as object).constructor.name,
    Object.fromEntries(members.map(([name, member]) => [name, described(member)])),
  ];
}

const whole = ({ name, settings, pet, other, more, friend, partner }: Owner) =>
  described([name, settings, pet, other, more, friend, partner]);

const elsewhere: Record<string, string> = {
  'a member of JSON': `settings = '{"the_theme":"light","tag":{"label":"a","size":1}}'`,
  'a member of an object in JSON': `settings = '{"the_theme":"dark","tag":{"size":3}}'`,
  'an object in JSON': `settings = '{"tags":[]}'`,
  'all of JSON': `settings = '{}'`,
  'of JSON nothing is left': `settings = null`,
  'what an object in columns is': `pet_kind = 'dog', pet_lives = null, pet_bark = 'wow'`,
  'what an object in JSON is': `other = '{"kind":"dog","bark":"wow"}'`,
  'what an object of a list is': `more = '[{"kind":"dog","bark":"wow"}]'`,
  'a member of one of several classes': `other = '{"kind":"cat","lives":8}', pet_name = null`,
  'keys without their rows': `friend_id = 1, partner_id = null`,
};

describe.each(Object.entries(elsewhere))('elsewhere goes: %s', (_case, change) => {
  test.each(Object.entries(read))('of the row there is %s', async (_state, load) => {
    for (const unflushed of ['keep', 'overwrite']) {
      await fill();
      const em = fork();
      await load(em);
      await execute(`update owner set ${change} where id = 1`);
      const owner = await revive(em, { unflushed });
      expect(whole(owner)).toEqual(whole(await fork().findOneOrFail(Owner, 1)));
      expect(await written(em)).toEqual([]);
    }
  });

  test.each(Object.entries(read))('of the row, met by populate, there is %s', async (_state, load) => {
    await fill();
    const em = fork();
    await load(em);
    await execute(`update owner set ${change} where id = 1`);
    const { boss } = await revive(em, { populate: { Owner: ['boss'] } }, 3);
    expect(whole(boss!)).toEqual(whole(await fork().findOneOrFail(Owner, 1)));
    expect(await written(em)).toEqual([]);
  });
});

test('an embedded object that its row can be read into stays the same object', async () => {
  await fill();
  const em = fork();
  const { settings, pet, other } = await em.findOneOrFail(Owner, 1);
  await execute(`update owner set settings = '${SETTINGS.replace('dark', 'light')}', pet_name = 'Kit' where id = 1`);
  await execute(`update owner set other = '${CAT.replace('Tom', 'Kit')}' where id = 1`);
  const owner = await revive(em);
  expect([owner.settings === settings, owner.pet === pet, owner.other === other]).toEqual([true, true, true]);
  expect([settings!.theme, pet!.name, other!.name]).toEqual(['light', 'Kit', 'Kit']);
});

describe('a change that is not flushed, beside one elsewhere', () => {
  const mine: Record<string, [change: (owner: Owner) => unknown, written: RegExp]> = {
    'in JSON': [(owner) => (owner.settings!.tag!.label = 'mine'), /set .settings. = /],
    'in columns of one of several classes': [(owner) => (owner.pet!.name = 'mine'), /set .pet_name. = /],
    'another class': [(owner) => (owner.other = Object.assign(new Dog(), { kind: 'dog' })), /set .other. = /],
    'a key without its row': [(owner) => (owner.friend = 1), /set .friend_id. = /],
    'none, in place of a key without its row': [(owner) => (owner.partner = null), /set .partner_id. = /],
  };
  test.each(Object.entries(mine))('%s', async (_case, [change, statement]) => {
    await fill();
    const em = fork();
    const owner = await em.findOneOrFail(Owner, 1);
    change(owner);
    const before = described([owner.friend, owner.partner]);
    await execute(`update owner set name = 'new' where id = 1`);
    await revive(em);
    expect([owner.name, described([owner.friend, owner.partner])]).toEqual(['new', before]);
    expect(await written(em)).toEqual([expect.stringMatching(statement)]);
    expect(await written(em)).toEqual([]);
  });
});

describe('a foreign key that shares a column with the key', () => {
  const clerk = { $byref: 1, data: { $entity: ['Clerk', [1, 1]] } } as never;
  const pointed = ({ desk, boss }: Clerk) => [desk?.number ?? null, boss?.id ?? null];
  test.each(['keep', 'overwrite'])('points nowhere once its own column is NULL (%s)', async (unflushed) => {
    for (const table of ['clerk', 'desk']) await execute(`delete from ${table}`);
    await execute('insert into desk (tenant, number) values (1, 1), (1, 2)');
    await execute('insert into clerk (tenant, id) values (1, 2)');
    await execute('insert into clerk (tenant, id, desk_number, boss_id) values (1, 1, 1, 2)');
    const em = fork();
    const held = await em.findOneOrFail(Clerk, { tenant: 1, id: 1 });
    held.name = 'mine';
    expect(pointed(held)).toEqual([1, 2]);
    await execute('update clerk set desk_number = null, boss_id = null where id = 1');
    await serializer.decode(clerk, { em, unflushed } as never);
    expect(pointed(held)).toEqual([null, null]);
    expect(await written(em)).toEqual(unflushed === 'keep' ? [expect.stringMatching(/set .name. = /)] : []);
    held.desk = em.getReference(Desk, [1, 2] as never);
    await serializer.decode(clerk, { em, unflushed } as never);
    expect(pointed(held)).toEqual([unflushed === 'keep' ? 2 : null, null]);
    expect(await written(em)).toHaveLength(unflushed === 'keep' ? 1 : 0);
  });
});

test.each(['nothing', 'a reference', 'all of it'])(
  'what a constructor takes is read again: there is %s',
  async (state) => {
    await fill();
    await execute(`insert into built (id, title, settings, owner_id) values (1, 'old', '${SETTINGS}', 1)`);
    const em = fork();
    if (state === 'a reference') em.getReference(Built, 1);
    if (state === 'all of it') await em.findOneOrFail(Built, 1);
    await execute(`update built set title = 'new', owner_id = 2, settings = '{"the_theme":"light"}'`);
    const built = await serializer.decode<Built>({ $byref: 1, data: { $entity: ['Built', 1] } } as never, { em });
    expect(built).toBeInstanceOf(Built);
    const { title, owner, settings } = built;
    expect([title, owner!.id, settings!.theme, settings!.tag ?? null]).toEqual(['new', 2, 'light', null]);
    expect(await written(em)).toEqual([]);
  },
);
