/** What a revive makes of entities that the EntityManager has already, and what the next flush writes: docs/concepts/freshness.md. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, ref } from '@mikro-orm/core';
import { type DeserializeOptions, EntitySerializer } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { Account, Address, Badge, Group, Note, Profile, profileRows, profiles } from '../../fixtures/profiles.ts';

import { openDatabase } from '../support/database.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let em: EntityManager;
const tables = ['profile_groups', '"group"', 'note', 'profile', 'badge', 'account'];

beforeAll(async () => {
  database = await openDatabase(profiles);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  for (const table of tables) await execute(`delete from ${table}`);
  for (const statement of profileRows.split(';\n').filter((text) => text.trim() !== '')) await execute(statement);
  em = database.orm.em.fork();
});

/** On another connection. */
async function execute(sql: string): Promise<void> {
  await database.orm.em.fork().getConnection().execute(sql);
}
const token = (model: string, id: number) => ({ $entity: [model, id] });
const revive = <T>(data: unknown, options: DeserializeOptions = {}): Promise<T> =>
  serializer.decode({ $byref: 1, data } as never, { em, ...options }) as Promise<T>;
/** What a flush writes now, without writing it twice. */
async function written(): Promise<string[]> {
  database.statements.length = 0;
  await em.flush();
  return database.statements.filter((sql) => /^(?:insert|update|delete)/.test(sql));
}
const everyLazy = ['bio', 'motto', 'address.memo'] as never;

describe('lazy properties that are loaded', () => {
  const change = `update profile set bio = 'new', motto = 'new', address_memo = 'new', nickname = null`;

  test.each<[string, () => Promise<unknown>]>([
    ['read', () => em.findOneOrFail(Profile, 1, { populate: everyLazy })],
    ['upserted', () => em.upsert(Profile, { id: 1, name: 'Ann', bio: 'upserted', version: 1 } as never)],
  ])('%s: are read again, and no flush writes old ones', async (_name, load) => {
    await load();
    await execute(change);
    database.statements.length = 0;
    const ann = await revive<Profile>(token('Profile', 1));
    expect(selects(database.statements)).toHaveLength(1);
    expect([ann.bio, ann.nickname]).toEqual(['new', null]);
    expect(await written()).toEqual([]);
  });

  test('all kinds of them at once, NULLs among them', async () => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: everyLazy });
    const { motto, address } = ann;
    await execute(change);
    await revive(token('Profile', 1));
    expect([ann.bio, ann.motto.unwrap(), ann.address!.memo]).toEqual(['new', 'new', 'new']);
    expect([ann.motto, ann.address]).toEqual([motto, address]);
    await execute('update profile set bio = null, motto = null, address_memo = null');
    await revive(token('Profile', 1));
    expect([ann.bio, ann.motto.unwrap(), ann.address!.memo]).toEqual([null, null, null]);
    expect(await written()).toEqual([]);
  });

  test('not loaded, they stay so', async () => {
    const ann = await revive<Profile>(token('Profile', 1));
    await revive(token('Profile', 1));
    expect([ann.bio, ann.motto.isInitialized()]).toEqual([undefined, false]);
    expect(await written()).toEqual([]);
  });

  test('of rows that populate brings: one query more per table', async () => {
    const badge = await em.findOneOrFail(Badge, 1, { populate: ['print'] as never });
    const [note] = await em.find(Note, { owner: 1 }, { populate: ['draft'] as never, orderBy: { id: 1 } });
    await execute(`update badge set print = 'new'`);
    await execute(`update note set draft = 'new', text = null`);
    database.statements.length = 0;
    await revive(token('Profile', 1), { populate: { Profile: ['badge', 'notes'] } });
    expect([badge.print, note!.draft, note!.text]).toEqual(['new', 'new', null]);
    expect(await written()).toEqual([]);
  });

  test('that the user has changed stay changed', async () => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: everyLazy });
    ann.bio = 'mine';
    ann.motto.set('mine');
    ann.address!.memo = 'mine';
    await execute(`${change}, address_city = 'new'`);
    await revive(token('Profile', 1));
    expect([ann.bio, ann.motto.unwrap(), ann.address, ann.nickname]).toMatchObject([
      'mine',
      'mine',
      { memo: 'mine', city: 'new' },
      null,
    ]);
  });
});

describe('rows that are there in part', () => {
  test.each(['refresh', 'managed'] as const)('%s: the whole row comes back', async (freshness) => {
    const ann = await em.findOneOrFail(Profile, 1, { fields: ['name'] });
    expect((ann as Profile).nickname).toBeUndefined();
    await execute(`update profile set name = 'now'`);
    expect(await revive(token('Profile', 1), { freshness })).toMatchObject({
      name: 'now',
      nickname: 'annie',
      prefs: { theme: 'dark', tags: ['a'] },
      address: { street: 'street 1' },
    });
    expect(await written()).toEqual([]);
  });

  test.each(['refresh', 'managed'] as const)('%s: with a change, which stays', async (freshness) => {
    const ann = (await em.findOneOrFail(Profile, 1, { fields: ['name', 'version'] })) as Profile;
    ann.name = 'mine';
    expect(await revive(token('Profile', 1), { freshness })).toMatchObject({ name: 'mine', nickname: 'annie' });
    expect(await written()).toEqual([expect.stringMatching(/^update .profile. set .name. = \S+, .version. = /)]);
    expect(await written()).toEqual([]);
  });

  test('a reference with a change', async () => {
    const ann = em.getReference(Profile, 1);
    ann.name = 'mine';
    await revive(token('Profile', 1));
    expect(ann).toMatchObject({ name: 'mine', nickname: 'annie' });
  });

  test('managed: what is whole stays as it is where populate meets it, and its relations are loaded', async () => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: everyLazy });
    await execute(`update profile set name = 'new', nickname = null, bio = 'new' where id = 1`);
    await revive(token('Profile', 2), { freshness: 'managed', populate: { Profile: ['boss.notes'] } });
    expect(ann).toMatchObject({ name: 'Ann', nickname: 'annie', bio: 'bio 1' });
    expect(ann.notes.getIdentifiers()).toEqual([1, 2]);
    expect(await written()).toEqual([]);
  });

  test('managed: a row that lacks its version alone is read', async () => {
    const { comparableProps } = database.orm.getMetadata().get(Profile);
    const fields = comparableProps.map(({ name }) => name).filter((name) => name !== 'version');
    const ann = await em.findOneOrFail(Profile, 1, { fields: fields as never });
    expect(ann).toMatchObject({ nickname: 'annie', version: undefined });
    database.statements.length = 0;
    await revive(token('Profile', 1), { freshness: 'managed' });
    expect(selects(database.statements)).toHaveLength(1);
    expect((ann as Profile).version).toBe(1);
  });

  test('managed: what is whole takes no query', async () => {
    await em.findOneOrFail(Profile, 1);
    database.statements.length = 0;
    await revive(token('Profile', 1), { freshness: 'managed' });
    expect(database.statements).toEqual([]);
  });
});

describe('unflushed changes', () => {
  const mine: [string, (ann: Profile) => unknown, object][] = [
    ['a column', (ann) => (ann.nickname = 'mine'), { nickname: 'mine' }],
    ['json in place', (ann) => ann.prefs!.tags!.push('mine'), { prefs: { tags: ['a', 'mine'] } }],
    ['a list', (ann) => (ann.aliases = ['mine']), { aliases: ['mine'] }],
    [
      'a column of an embedded object',
      (ann) => (ann.address!.street = 'mine'),
      { address: { street: 'mine', city: 'new' } },
    ],
    ['an embedded object that is no more', (ann) => (ann.address = null), { address: null }],
    ['an embedded object in json', (ann) => (ann.settings!.theme = 'mine'), { settings: { theme: 'mine' } }],
    ['a list of embedded objects', (ann) => ann.history!.pop(), { history: [] }],
    ['a relation', (ann) => (ann.boss = em.getReference(Profile, 3, { wrapped: true }) as never), { boss: { id: 3 } }],
  ];

  test.each(mine)(
    '%s: stays, all else is as it is now; a flush writes just it, a second one nothing',
    async (_name, change, expected) => {
      const ann = await em.findOneOrFail(Profile, 1);
      change(ann);
      await execute(`update profile set name = 'new', address_city = 'new' where id = 1`);
      await revive(token('Profile', 1));
      const boss = ann.boss?.unwrap();
      expect({ ...ann, name: ann.name, boss }).toMatchObject({ name: 'new', ...expected });
      const statements = await written();
      expect(statements).toEqual([expect.stringMatching(/^update/)]);
      expect(statements[0]).not.toMatch(/\Wname\W = /);
      expect(await written()).toEqual([]);
      const now = await database.orm.em.fork().findOneOrFail(Profile, 1);
      expect(now.name).toBe('new');
    },
  );

  test('an embedded object that the user has made, in one that NULLs have replaced', async () => {
    const cid = await em.findOneOrFail(Profile, 3);
    cid.address = Object.assign(new Address(), { street: 'mine' });
    const { address } = cid;
    await execute(`update profile set address_city = 'new' where id = 3`);
    await revive(token('Profile', 3));
    expect([cid.address === address, cid.address]).toMatchObject([true, { street: 'mine', city: 'new' }]);
    await execute('update profile set address_city = null where id = 3');
    await revive(token('Profile', 3));
    expect([cid.address === address, cid.address]).toMatchObject([true, { street: 'mine', city: null }]);
    expect(await written()).toEqual([expect.stringMatching(/^update .profile. set .address_street. = /)]);
  });

  test('an embedded object that the user has removed stays so, and what is lazy of it is not written', async () => {
    const ann = await em.findOneOrFail(Profile, 1);
    ann.address = null;
    await em.flush();
    await execute(`update profile set name = 'new' where id = 1`);
    await revive(token('Profile', 1));
    expect(ann).toMatchObject({ name: 'new', address: null });
    expect(await written()).toEqual([]);
  });

  test('a conflict is still one: version', async () => {
    const ann = await em.findOneOrFail(Profile, 1);
    ann.name = 'mine';
    await execute(`update profile set nickname = 'new', version = version + 1`);
    for (const freshness of ['refresh', 'managed'] as const) {
      await revive([token('Profile', 1), token('Profile', 2)], { freshness, populate: { Profile: ['boss'] } });
    }
    await expect(em.flush()).rejects.toMatchObject({ name: 'OptimisticLockError' });
  });

  test('a conflict is still one: concurrencyCheck', async () => {
    const account = await em.findOneOrFail(Account, 1);
    account.balance = 15;
    await execute(`update account set iban = 'DE2', note = 'new'`);
    await revive(token('Account', 1));
    expect(account).toMatchObject({ balance: 15, iban: 'DE1', note: 'new' });
    await expect(em.flush()).rejects.toMatchObject({ name: 'OptimisticLockError' });
  });

  test('no conflict, no error: the version goes on from what was read', async () => {
    const ann = await em.findOneOrFail(Profile, 1);
    ann.name = 'mine';
    await revive(token('Profile', 1));
    expect(await written()).toHaveLength(1);
    ann.name = 'again';
    await revive(token('Profile', 1));
    expect(await written()).toHaveLength(1);
    expect((await database.orm.em.fork().findOneOrFail(Profile, 1)).version).toBe(3);
  });

  test('overwrite: the row wins in everything, and a flush writes nothing', async () => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: everyLazy });
    for (const [, change] of mine) change(ann);
    ann.bio = 'mine';
    await revive(token('Profile', 1), { unflushed: 'overwrite' });
    expect(ann).toMatchObject({ nickname: 'annie', bio: 'bio 1', boss: null, aliases: ['x'] });
    expect([ann.address?.street, ann.settings?.theme, ann.history?.length]).toEqual(['street 1', 'red', 1]);
    expect(await written()).toEqual([]);
  });

  test('drift is seen of a row with changes too', async () => {
    const ann = await em.findOneOrFail(Profile, 1);
    const dated = serializer.encode(ann, { versions: true });
    ann.name = 'mine';
    await execute('update profile set version = 5');
    await expect(serializer.decode(dated, { em, drift: 'throw' })).rejects.toMatchObject({ code: 'E_DRIFT' });
  });
});

describe('relations', () => {
  test.each([false, true])('populate is fresh whatever else is changed (%s)', async (isAnythingChanged) => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: ['notes', 'groups', 'staff', 'badge'] as never });
    const account = await em.findOneOrFail(Account, 1);
    if (isAnythingChanged) account.balance = 15;
    await execute(`update note set text = null where id = 1`);
    await execute('delete from note where id = 2');
    await execute('update note set owner_id = 1 where id = 3');
    await execute('delete from profile_groups where profile_id = 1');
    await execute('insert into profile_groups (profile_id, group_id) values (1, 2)');
    await execute('update profile set boss_id = null where id = 3');
    await execute(`update badge set code = 'new'`);
    await revive(token('Profile', 1), { populate: { Profile: ['notes', 'groups', 'staff', 'badge'] } });
    expect(ann.notes.getItems().map(({ id, text }) => [id, text])).toEqual([
      [1, null],
      [3, 'note 3'],
    ]);
    expect([ann.groups.getIdentifiers(), ann.staff.getIdentifiers()]).toEqual([[2], [2]]);
    expect(ann.badge!.unwrap().code).toBe('new');
    expect(await written()).toHaveLength(isAnythingChanged ? 1 : 0);
  });

  test('a collection that is not loaded, and that the user has put something into, is loaded with it', async () => {
    const cid = await em.findOneOrFail(Profile, 3);
    const group = await em.findOneOrFail(Group, 1);
    group.members.add(cid);
    await em.findOneOrFail(Profile, 1);
    await revive(token('Profile', 1), { populate: { Profile: ['groups.members'] } });
    expect(group.members.getIdentifiers().sort()).toEqual([1, 2, 3]);
    await em.flush();
    expect(await em.fork().count(Group, { id: 1, members: 3 })).toBe(1);
  });

  test('changes of related rows and of collections stay', async () => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: ['notes', 'groups', 'badge'] as never });
    ann.notes[0]!.text = 'mine';
    ann.badge!.unwrap().code = 'mine';
    ann.groups.add(em.getReference(Group, 2));
    await execute(`update note set text = 'theirs'`);
    await execute(`update badge set code = 'theirs'`);
    await revive(token('Profile', 1), { populate: { Profile: ['notes', 'groups', 'badge'] } });
    expect(ann.notes.getItems().map(({ text }) => text)).toEqual(['mine', 'theirs']);
    expect([ann.badge!.unwrap().code, ann.groups.getIdentifiers()]).toEqual(['mine', [1, 2]]);
    const statements = await written();
    expect(statements).toHaveLength(3);
    expect(statements.join()).toMatch(/insert into "?`?profile_groups/);
    expect(await written()).toEqual([]);
  });

  test('a collection that is loaded and not named stays as it is, and flushes nothing', async () => {
    const ann = await em.findOneOrFail(Profile, 1, { populate: ['notes', 'groups'] as never });
    await execute('delete from note');
    await execute('delete from profile_groups');
    await revive(token('Profile', 1));
    expect([ann.notes.length, ann.groups.length]).toEqual([2, 1]);
    expect(await written()).toEqual([]);
  });

  test('a collection that a row has told of its foreign key is read again as any other', async () => {
    const bob = await em.findOneOrFail(Profile, 2, { populate: ['staff'] as never });
    await em.findOneOrFail(Profile, 3);
    await execute('update profile set boss_id = 2 where id = 3');
    await revive(token('Profile', 3));
    expect(bob.staff.getIdentifiers()).toEqual([3]);
    await execute('update profile set boss_id = null where id = 3');
    await revive(token('Profile', 2), { populate: { Profile: ['staff'] } });
    expect(bob.staff.getIdentifiers()).toEqual([]);
    expect(await written()).toEqual([]);
  });

  test('what the user has removed goes with the next flush, also where a collection is loaded that it is in', async () => {
    em.remove(await em.findOneOrFail(Note, 1));
    const ann = await revive<Profile>(token('Profile', 1), { populate: { Profile: ['notes'] } });
    expect(ann.notes.isInitialized()).toBe(true);
    expect(await written()).toEqual([expect.stringMatching(/^delete from .note. where .id. in \(/)]);
  });

  test.each(['refresh', 'managed'] as const)(
    '%s: a foreign key that the user has changed stays where it finds no row',
    async (freshness) => {
      const bob = await em.findOneOrFail(Profile, 2);
      bob.boss = em.getReference(Profile, 3, { wrapped: true });
      await execute('delete from profile_groups where profile_id = 3');
      await execute('delete from profile where id = 3');
      await revive(token('Profile', 2), { freshness, populate: { Profile: ['boss'] } });
      expect(bob.boss.id).toBe(3);
    },
  );

  describe('of a 1:1 the other side', () => {
    test.each([null, 2])('changes no foreign key of another row (%s)', async (badge) => {
      const ann = await em.findOneOrFail(Profile, 1);
      const bob = await em.findOneOrFail(Profile, 2);
      await execute(`update profile set badge_id = ${badge}, version = 2 where id = 1`);
      await revive([token('Badge', 1), token('Badge', 2)]);
      expect(ann.badge!.id).toBe(1);
      expect(await written()).toEqual([]);
      await revive([token('Badge', 1), token('Badge', 2), token('Profile', 1)]);
      expect([ann.badge?.id ?? null, ann.version, bob.badge]).toEqual([badge, 2, null]);
      expect(await written()).toEqual([]);
    });

    test("is set by MikroORM's own find, which the next flush writes: the limit that docs/concepts/freshness.md states", async () => {
      const ann = await em.findOneOrFail(Profile, 1);
      await execute('update profile set badge_id = null where id = 1');
      await execute('update profile set badge_id = 1 where id = 2');
      await em.findOneOrFail(Profile, 2);
      await revive(token('Profile', 1));
      expect(ann.badge ?? null).toBeNull();
      expect(await written()).toEqual([expect.stringMatching(/^update .profile. set .badge_id. = /)]);
    });

    test.each(['refresh', 'managed'] as const)(
      '%s: of a row that has lost it to another by a flush is null, as em.findOne would have it',
      async (freshness) => {
        const ann = await em.findOneOrFail(Profile, 1, { populate: ['badge'] });
        const bob = await em.findOneOrFail(Profile, 2);
        bob.badge = ann.badge;
        await em.flush();
        await revive(token('Profile', 1), { freshness });
        expect(ann.badge).toBeNull();
        expect(await written()).toEqual([]);
      },
    );

    test("of a reference, told by MikroORM's own find, is a change in MikroORM 7 only: the same limit", async () => {
      const ann = em.getReference(Profile, 1);
      await revive(token('Badge', 1));
      await execute('update profile set badge_id = null where id = 1');
      await em.find(Badge, 1);
      await revive(token('Profile', 1));
      expect([ann.badge, ann.name]).toEqual([null, 'Ann']);
      expect(await written()).toHaveLength(isMikroOrm6 ? 0 : 1);
    });

    test("of a reference, set by the user, is undefined after MikroORM 6's own find of the row that had it: no change", async () => {
      await execute('update profile set badge_id = 2 where id = 2');
      const [badge] = await em.find(Badge, [1, 2], { orderBy: { id: 1 } });
      const bob = em.getReference(Profile, 2);
      badge!.profile = ref(bob);
      await em.find(Profile, 1);
      expect(bob.badge?.id).toBe(isMikroOrm6 ? undefined : 1);
      await revive(token('Profile', 2), { unflushed: isMikroOrm6 ? 'throw' : 'keep' });
      expect(bob).toMatchObject({ name: 'Bob', badge: { id: isMikroOrm6 ? 2 : 1 } });
      expect(await written()).toHaveLength(isMikroOrm6 ? 0 : 2);
    });

    test('is that of the row which the user has given it, when the reference is read that had it', async () => {
      await execute('update profile set badge_id = 2 where id = 2');
      const badge = await em.findOneOrFail(Badge, 2);
      const ann = await em.findOneOrFail(Profile, 1);
      ann.badge = ref(badge);
      await revive(token('Profile', 2));
      expect(ann.badge.unwrap()).toBe(badge);
      expect(badge.profile!.unwrap()).toBe(ann);
    });

    test('follows a change that is not flushed', async () => {
      const bob = await em.findOneOrFail(Profile, 2);
      const badge = await em.findOneOrFail(Badge, 2);
      bob.badge = ref(badge);
      await revive([token('Badge', 2), token('Profile', 2)]);
      expect([bob.badge.unwrap(), badge.profile!.unwrap()]).toEqual([badge, bob]);
      expect(await written()).toEqual([expect.stringMatching(/^update .profile. set .badge_id. = /)]);
    });
  });
});

describe('entities that are made by their constructors', () => {
  let constructing: TestOrm;
  beforeAll(async () => (constructing = await openDatabase(profiles, { forceEntityConstructor: true })));
  afterAll(() => constructing.close());

  test('embedded objects in JSON are fresh, and no change before the user makes one', async () => {
    const own = constructing.orm.em.fork();
    const run = (sql: string) => constructing.orm.em.fork().getConnection().execute(sql);
    for (const statement of profileRows.split(';\n').filter((text) => text.trim() !== '')) await run(statement);
    const options = { em: own };
    const byConstructor = new EntitySerializer(constructing.orm);
    const bob = await own.findOneOrFail(Profile, 2);
    await run(`update profile set settings = '{"theme":"new","size":1}', history = null`);
    await byConstructor.decode({ $byref: 1, data: [token('Profile', 1), token('Profile', 2)] } as never, options);
    expect([bob.settings, bob.history]).toMatchObject([{ theme: 'new' }, null]);
    constructing.statements.length = 0;
    await own.flush();
    expect(constructing.statements).toEqual([]);
    bob.settings!.theme = 'mine';
    await byConstructor.decode({ $byref: 1, data: token('Profile', 2) } as never, options);
    expect(bob.settings).toMatchObject({ theme: 'mine' });
  });
});
