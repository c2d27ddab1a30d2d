/** A row that `authorize` refuses does not come into the caller's EntityManager, by whatever path. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { wrap } from '@mikro-orm/core';
import { type DeserializeOptions, EntitySerializer, type EntityToken } from 'mikro-orm-byref';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { Badge, Group, Note, Profile, profileRows, profiles } from '../../fixtures/profiles.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let em: EntityManager;
let asked: string[];

beforeAll(async () => {
  database = await openDatabase(profiles);
  serializer = new EntitySerializer(database.orm);
  for (const statement of profileRows.split(';\n').filter((text) => text.trim() !== '')) {
    await database.orm.em.fork().getConnection().execute(statement);
  }
});
afterAll(() => database.close());
beforeEach(() => {
  em = database.orm.em.fork();
  asked = [];
  database.statements.length = 0;
});

const nameOf = ({ model, primaryKey }: EntityToken): string => `${model} ${String(primaryKey)}`;
const refusing =
  (...names: string[]): NonNullable<DeserializeOptions['authorize']> =>
  (_entity, token) => {
    asked.push(nameOf(token));
    return !names.includes(nameOf(token));
  };
const decode = <T>(tokens: readonly (readonly [string, number])[], options: DeserializeOptions): Promise<T> =>
  serializer.decode({ $byref: 1, data: tokens.map((token) => ({ $entity: [...token] })) } as never, {
    em,
    ...options,
  }) as Promise<T>;
/** What of a row is in the caller's EntityManager. */
function held(cls: typeof Profile | typeof Note | typeof Badge, id: number): 'nothing' | 'its key' | 'the row' {
  const entity = em.getUnitOfWork().getById(cls as never, id) as AnyEntity | undefined;
  if (entity === undefined) return 'nothing';
  return wrap(entity).isInitialized() ? 'the row' : 'its key';
}

type Stored = { readonly __originalEntityData?: object };

describe('a refused row that is named', () => {
  test.each(['throw', 'null', 'omit'] as const)('missing: %s', async (missing) => {
    const decoding = decode(
      [
        ['Profile', 1],
        ['Profile', 2],
      ],
      { authorize: refusing('Profile 2'), missing },
    );
    if (missing === 'throw') await expect(decoding).rejects.toMatchObject({ code: 'E_ENTITY_NOT_FOUND' });
    else expect(await decoding).toHaveLength(missing === 'null' ? 2 : 1);
    expect([held(Profile, 2), asked.sort()]).toEqual(['nothing', ['Profile 1', 'Profile 2']]);
  });

  test('through a relation of an admitted one: only the key, which is the admitted row’s own', async () => {
    const [note] = await decode<[Note, Profile]>(
      [
        ['Note', 3],
        ['Profile', 2],
      ],
      {
        authorize: refusing('Profile 2'),
        missing: 'null',
      },
    );
    expect([
      held(Profile, 2),
      wrap(note.owner).isInitialized(),
      Object.keys(wrap(note).toPOJO().owner as never),
    ]).toEqual(['its key', false, []]);
  });

  test('in a batch', async () => {
    const payloads = [1, 2].map((id) => ({ $byref: 1, data: { $entity: ['Profile', id] } }));
    const outcomes = await serializer.decodeAll(payloads, { em, authorize: refusing('Profile 2') });
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect([held(Profile, 1), held(Profile, 2)]).toEqual(['the row', 'nothing']);
  });

  test('that the EntityManager has already stays as it was, and is missing', async () => {
    const bob = await em.findOneOrFail(Profile, 2);
    await database.orm.em.fork().getConnection().execute(`update profile set nickname = 'new' where id = 2`);
    for (const freshness of ['refresh', 'managed'] as const) {
      const back = await decode([['Profile', 2]], { authorize: refusing('Profile 2'), missing: 'null', freshness });
      expect([back, bob.nickname]).toEqual([[null], 'bobby']);
    }
    await database.orm.em.fork().getConnection().execute(`update profile set nickname = 'bobby' where id = 2`);
  });
});

describe('a refused row that populate brings', () => {
  const populate = { Profile: ['notes', 'groups', 'badge', 'boss', 'staff'], Badge: ['profile'] };

  test.each(['joined', 'select-in'] as const)('%s', async (loadStrategy) => {
    const own = await openDatabase(profiles, { loadStrategy });
    for (const statement of profileRows.split(';\n').filter((text) => text.trim() !== '')) {
      await own.orm.em.fork().getConnection().execute(statement);
    }
    em = own.orm.em.fork();
    const [ann, badge] = (await new EntitySerializer(own.orm).decode(
      { $byref: 1, data: [{ $entity: ['Profile', 1] }, { $entity: ['Badge', 1] }] },
      { em, populate, authorize: refusing('Note 2', 'Group 1', 'Profile 3', 'Badge 1'), missing: 'null' },
    )) as [Profile, null];
    expect(badge).toBeNull();
    expect([ann.notes.getIdentifiers(), ann.groups.getIdentifiers(), ann.staff.getIdentifiers()]).toEqual([
      [1],
      [],
      [2],
    ]);
    expect([held(Note, 2), held(Profile, 3), held(Badge, 1)]).not.toContain('the row');
    expect(asked.toSorted()).toEqual([...new Set(asked)].toSorted());
    own.statements.length = 0;
    await em.flush();
    expect(own.statements.filter((sql) => /^(?:insert|update|delete)/.test(sql))).toEqual([]);
    await own.close();
  });

  describe.each(['joined', 'select-in'] as const)('of an m:n, %s', (loadStrategy) => {
    let own: TestOrm;
    const populate = { Profile: ['groups'], Note: ['owner.groups'] };
    const decodeOwn = (tokens: readonly unknown[], freshness: 'refresh' | 'managed'): Promise<unknown> =>
      new EntitySerializer(own.orm).decode({ $byref: 1, data: tokens.map((token) => ({ $entity: token })) } as never, {
        em,
        freshness,
        populate,
        authorize: refusing('Group 1'),
      });
    beforeAll(async () => {
      own = await openDatabase(profiles, { loadStrategy });
      for (const statement of profileRows.split(';\n').filter((text) => text.trim() !== '')) {
        await own.orm.em.fork().getConnection().execute(statement);
      }
    });
    beforeEach(() => void (em = own.orm.em.fork()));
    afterAll(() => own.close());

    test.each(['refresh', 'managed'] as const)(
      'its columns are not here, and a find of it reads all: %s',
      async (freshness) => {
        if (freshness === 'managed') await em.find(Profile, [1]);
        await decodeOwn([['Profile', 1]], freshness);
        const group = em.getUnitOfWork().getById(Group as never, 1 as never) as AnyEntity | undefined;
        const stored = group && (wrap(group, true) as never as Stored).__originalEntityData;
        expect(Object.keys(stored ?? {})).not.toContain('title');
        expect((await em.findOneOrFail(Group, 1)).title).toBe('group 1');
      },
    );

    test('a collection that was loaded, and that populate does not name, stays as it was', async () => {
      const ann = await em.findOneOrFail(Profile, 1, { populate: ['groups'] as never });
      const [bob] = (await new EntitySerializer(own.orm).decode(
        { $byref: 1, data: [{ $entity: ['Profile', 2] }] },
        {
          em,
          populate: { Profile: ['groups', 'boss'] },
          authorize: refusing('Group 1'),
        },
      )) as [Profile];
      expect([bob.groups.getIdentifiers(), ann.groups.getIdentifiers()]).toEqual([[], [1]]);
    });

    test('the other side of what is loaded stays not loaded', async () => {
      await em.findOneOrFail(Profile, 1);
      await new EntitySerializer(own.orm).decode({ $byref: 1, data: [{ $entity: ['Note', 1] }] } as never, {
        em,
        populate,
        authorize: refusing('Profile 1'),
      });
      const group = em.getUnitOfWork().getById(Group as never, 1 as never) as Group | undefined;
      expect(group?.members.isInitialized()).not.toBe(true);
    });

    test('of a row that is kept, or that one which is kept points to', async () => {
      const ann = await em.findOneOrFail(Profile, 1);
      await em.findOneOrFail(Note, 1);
      await decodeOwn([['Note', 1]], 'managed');
      expect([ann.groups.isInitialized(), ann.groups.getIdentifiers()]).toEqual([true, []]);
    });

    test('beside what the user has added: that stays, and is all that a flush writes', async () => {
      const ann = await em.findOneOrFail(Profile, 1);
      const added = em.create(Group, { id: 9, title: 'new' } as never);
      ann.groups.add(added);
      await decodeOwn([['Profile', 1]], 'refresh');
      expect(ann.groups.getIdentifiers()).toEqual([9]);
      own.statements.length = 0;
      await em.begin();
      await em.flush();
      await em.rollback();
      const written = own.statements.filter((sql) => /^(?:insert|update|delete)/.test(sql));
      expect(written.map((sql) => sql.split(' ', 3).join(' ').replaceAll(/["`]/g, ''))).toEqual([
        'insert into group',
        'insert into profile_groups',
      ]);
    });
  });

  test('of a row that is kept as it is', async () => {
    const ann = await em.findOneOrFail(Profile, 1);
    const options = { freshness: 'managed', populate: { Profile: ['notes'] }, authorize: refusing('Note 1') } as const;
    await decode([['Profile', 1]], options);
    expect([ann.notes.getIdentifiers(), held(Note, 1)]).toEqual([[2], expect.not.stringMatching('the row')]);
  });

  test('an inverse 1:1', async () => {
    const [badge] = await decode<[Badge]>([['Badge', 1]], { populate, authorize: refusing('Profile 1') });
    expect([held(Profile, 1), badge.profile == null || !wrap(badge.profile).isInitialized()]).toEqual([
      expect.not.stringMatching('the row'),
      true,
    ]);
  });
});

test('each row is asked about once, on an EntityManager of its own', async () => {
  const seen: EntityManager[] = [];
  const back = await decode<Profile[]>(
    [
      ['Profile', 1],
      ['Profile', 1],
      ['Note', 1],
    ],
    {
      populate: { Note: ['owner'] },
      authorize: (entity, token) => {
        asked.push(nameOf(token));
        seen.push((wrap(entity, true) as unknown as { __em: EntityManager }).__em);
        return true;
      },
    },
  );
  expect([asked.sort(), seen.includes(em), back[0] === back[1]]).toEqual([['Note 1', 'Profile 1'], false, true]);
});

test('nothing is read for rows that are refused, and each admitted table is read twice', async () => {
  await decode([['Profile', 1]], { authorize: () => false, missing: 'null' });
  expect(selects(database.statements)).toHaveLength(1);
  database.statements.length = 0;
  await decode(
    [
      ['Profile', 1],
      ['Note', 1],
    ],
    { authorize: () => true },
  );
  expect(selects(database.statements)).toHaveLength(4);
});

test('what fails before anybody is asked brings in nothing either', async () => {
  const error = await failureOf(() =>
    decode(
      [
        ['Profile', 1],
        ['Profile', 99],
      ],
      { authorize: refusing('Profile 1') },
    ),
  );
  expect([error.code, held(Profile, 1)]).toEqual(['E_ENTITY_NOT_FOUND', 'nothing']);
});
