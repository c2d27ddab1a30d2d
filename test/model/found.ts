/** Programs that broke a promise once, as short as they were found: each runs before all random ones. */
import type fc from 'fast-check';
import { LockMode } from '@mikro-orm/core';
import { Revive, Step } from './commands.ts';
import { hasTablePerType } from './entities.ts';
import type { ReviveOptions } from './revive.ts';
import type { Naming } from './versions.ts';
import type { World } from './world.ts';
import { has } from '../support/driver.ts';

type Program = readonly fc.AsyncCommand<World, World>[];
const step = (name: string, ...args: readonly unknown[]): Step => new Step(name, args);
const revive = (tokens: readonly Naming[], options: Partial<ReviveOptions> = {}): Revive =>
  new Revive(tokens, { missing: 'null', ...options });

/** Each ends with the revive whose promise was broken. */
export const found: Record<string, readonly [...Program, Revive]> = {
  'a row that is kept lacks its version': [
    step('fields', ['Person', 'name'], 1),
    step('change', ['Person', 'name'], 1, 0),
    revive([['Person', 1]]),
    step('findOne', 'Person', 1),
    revive([['Person', 1]], { freshness: 'managed' }),
  ],
  'a part of a changed row, met from a row that is kept: its version stays unknown': [
    step('fields', ['Person', 'name'], 1),
    step('find', 'Team', [1], undefined),
    step('relate', ['Person', 'boss'], 1, 0),
    revive(
      [
        ['Team', 1],
        ['Person', 1],
      ],
      { freshness: 'managed', populate: { Team: ['members.badge'] } },
    ),
  ],
  'a part of a row, overwritten where one that is kept meets it': [
    step('fields', ['Person', 'name'], 2),
    step('lazies', ['Person', 'bio'], 2),
    revive(
      [
        ['Note', 3],
        ['Person', 1],
      ],
      { freshness: 'managed', unflushed: 'overwrite', populate: { Note: ['owner.boss'] } },
    ),
    revive([['Person', 1]]),
  ],
  'a foreign key that the user has changed, of an item that a join brings': [
    revive([
      ['Note', 3],
      ['Person', 1],
    ]),
    step('relate', ['Note', 'owner'], 3, 0),
    revive([['Person', 1]], { populate: { Person: ['staff.notes'] } }),
  ],
  'a foreign key that is kept, of an item that a join brings': [
    revive([['Person', 2]], { populate: { Person: ['notes'] } }),
    step('elsewhere: point', ['Note', 'owner'], 3, 3),
    revive([['Person', 1]], { freshness: 'managed', populate: { Person: ['staff.notes'] } }),
  ],
  'an item that is kept, of a collection that is loaded': [
    step('populate', 'Team', 1, ['members'], undefined),
    step('elsewhere: point', ['Person', 'boss'], 1, 2),
    step('find', 'Person', [2], undefined),
    revive([['Person', 2]], { freshness: 'managed', populate: { Person: ['staff.notes'] } }),
  ],
  'a loaded collection, told of a row that has come into it': [
    revive(
      [
        ['Person', 3],
        ['Person', 1],
      ],
      { populate: { Person: ['staff.notes'] } },
    ),
    step('elsewhere: point', ['Person', 'boss'], 1, 3),
    revive([['Person', 1]]),
  ],
  'a collection that was told of a row, read again': [
    step('populate', 'Person', 3, ['staff'], undefined),
    step('find', 'Person', [1], undefined),
    step('elsewhere: point', ['Person', 'boss'], 1, 3),
    revive([['Person', 1]]),
    step('elsewhere: point', ['Person', 'boss'], 1, 2),
    revive([['Person', 3]], { populate: { Person: ['staff'] } }),
  ],
  'the inverse side of a row that is not named, when its foreign key turns to a row that is': [
    revive([['Badge', 1]]),
    step('elsewhere: point', ['Person', 'badge'], 1, 3),
    revive([
      ['Badge', 3],
      ['Person', 1],
    ]),
  ],
  'an inverse side that the user has set, where no foreign key has changed with it': [
    step('merge', ['Badge', 'code'], 1, 0),
    step('relate', ['Badge', 'person'], 1, 0),
    revive([['Person', 1]]),
  ],
  'a new entity is no row that has changes': [
    step('create', 'Person', 4),
    step('unset', 'address', 4),
    revive([['Person', 4]], { unflushed: 'throw' }),
  ],
  'what the user has set of a row that was read in part is not missing': [
    step('merge', ['Person', 'name'], 3, 0),
    step('change', ['Person', 'settings'], 3, 0),
    step('populate', 'Person', 3, [], undefined),
    revive([['Person', 1]]),
    revive(
      [
        ['Person', 3],
        ['Person', 1],
      ],
      { freshness: 'managed' },
    ),
  ],
  'an embedded object in one that the user has made, where its columns are NULL': [
    step('fields', ['Person', 'name'], 3),
    step('change', ['Person', 'address.street'], 3, 0),
    revive([
      ['Person', 3],
      ['Person', 1],
    ]),
  ],
  'a row that the user has removed, among those of a collection that is loaded': [
    step('findOne', 'Note', 2),
    step('remove', 'Note', 2),
    revive([['Person', 1]], { populate: { Person: ['notes'] } }),
  ],
  'a row that the user has removed, and thereby out of a collection that is loaded': [
    revive([['Person', 1]], { populate: { Person: ['staff.notes'] } }),
    step('remove', 'Person', 2),
    revive([['Person', 1]], { populate: { Person: ['staff.notes'] } }),
  ],
  'a relation of a row that is kept, to one that is gone': [
    step('find', 'Note', [2], undefined),
    step('elsewhere: delete', 'Person', 1),
    revive([['Note', 2]], { freshness: 'managed', populate: { Note: ['owner.boss'] } }),
  ],
  ...Object.fromEntries(
    (['managed', 'refresh'] as const).flatMap((freshness) => [
      [
        `a foreign key that the user has changed, to a row that is gone: ${freshness}`,
        [
          step('find', 'Note', [2], undefined),
          step('find', 'Person', [3], undefined),
          step('relate', ['Note', 'owner'], 2, 3),
          step('elsewhere: delete', 'Person', 3),
          revive([['Note', 2]], { freshness, populate: { Note: ['owner.boss'] } }),
        ],
      ],
      [
        `an inverse side that follows from a change, populated: ${freshness}`,
        [
          step('find', 'Badge', [3, 1], undefined),
          step('relate', ['Badge', 'person'], 3, 1),
          revive([['Badge', 3]], { freshness, populate: { Badge: ['person.notes'] } }),
        ],
      ],
    ]),
  ),
  'the inverse side of a row, when another one that the user had given it lets it go': [
    step('find', 'Person', [2, 1], undefined),
    step('relate', ['Person', 'badge'], 1, 2),
    revive(
      [
        ['Badge', 2],
        ['Person', 1],
      ],
      { unflushed: 'overwrite' },
    ),
  ],
  'what was put from the other side into a collection that is not loaded, of a row that is kept': [
    step('find', 'Team', [3], undefined),
    step('populate', 'Person', 1, [], undefined),
    step('add', ['Team', 'members'], 3, 1),
    revive([['Person', 1]], { freshness: 'managed', populate: { Person: ['teams.members'] } }),
  ],
  'a foreign key of a 1:1 that MikroORM takes for changed, since it has read another row': [
    step('lazies', ['Person', 'bio'], 1),
    step('elsewhere: point', ['Person', 'badge'], 1, 0),
    step('elsewhere: point', ['Person', 'badge'], 2, 1),
    step('find', 'Person', [2], undefined),
    revive([['Person', 1]]),
  ],
  'what was taken out of a collection, when the other side of it is loaded': [
    revive([['Person', 1]], { populate: { Person: ['teams'] } }),
    step('drop', ['Person', 'teams'], 1, 2),
    revive([['Team', 2]], { populate: { Team: ['members.badge'] } }),
  ],
  'a column of an embedded object that is NULL now': [
    revive([
      ['Person', 2],
      ['Person', 1],
    ]),
    step('elsewhere: update', ['Person', 'address.street'], 2, 0),
    revive([['Person', 1]], { populate: { Person: ['staff.notes'] } }),
  ],
  'the foreign key of a 1:1 that is followed from the other side, and points elsewhere now': [
    step('findOne', 'Badge', 1),
    step('elsewhere: point', ['Person', 'badge'], 1, 0),
    revive(
      [
        ['Badge', 1],
        ['Person', 2],
      ],
      { freshness: 'managed', populate: { Badge: ['person.notes'] } },
    ),
  ],
  'a row with changes that two models name, with options of their own': [
    step('find', 'Animal', [2, 1], undefined),
    step('change', ['Cat', 'claws'], 2, 0),
    revive(
      [
        ['Cat', 2],
        ['Animal', 2],
      ],
      { unflushed: 'throw', populate: { Cat: [] } },
    ),
  ],
  'a collection that is not loaded, and that a row was put into from the other side': [
    step('find', 'Person', [2], undefined),
    step('find', 'Team', [1], undefined),
    step('add', ['Team', 'members'], 1, 2),
    revive([['Person', 2]], { unflushed: 'throw' }),
  ],
  ...(hasTablePerType && {
    'a lazy property of a subclass that the user has changed takes no query': [
      step('qb', 'Vehicle', 1),
      step('change', ['Car', 'manual'], 1, 0),
      revive([
        ['Vehicle', 1],
        ['Person', 1],
      ]),
    ] as const,
    'a row of tables per type that is of another class now, with a lazy property of that which it was': [
      step('lazies', ['Car', 'manual'], 1),
      step('elsewhere: become', 'Truck', 1),
      revive([
        ['Vehicle', 1],
        ['Car', 1],
      ]),
    ] as const,
    'a lazy property of a subclass that both the base class and its own class are asked for': [
      step('lazies', ['Car', 'manual'], 1),
      revive([
        ['Vehicle', 1],
        ['Car', 1],
      ]),
    ] as const,
  }),
  'an embedded object in another, which the result cache has spoiled what was stored of': [
    step('lazies', ['Person', 'address.memo'], 2),
    step('elsewhere: update', ['Person', 'address.geo.zone'], 2, 1),
    step('lazies', ['Person', 'address.memo'], 2),
    revive([['Person', 2]]),
  ],
  'a 1:1 that moves: into how many updates a flush splits it': [
    revive([['Person', 2]], { populate: { Person: ['boss.badge'] } }),
    step('relate', ['Person', 'badge'], 2, 1),
    step('findOne', 'Person', 1),
    revive([['Note', 3]]),
  ],
  'a 1:1 that the user has taken from a row that is not loaded': [
    step('findOne', 'Badge', 2),
    step('findOne', 'Person', 1),
    step('relate', ['Person', 'badge'], 1, 2),
    revive([['Person', 2]]),
  ],
  'a part of a row, met after another row has told it the other side of a 1:1': [
    step('merge', ['Badge', 'code'], 1, 0),
    step('fields', ['Person', 'name'], 1),
    revive([['Person', 1]], { freshness: 'managed', populate: { Person: ['badge.person'] } }),
  ],
  'what was added to a collection, of a row that only another change leads to': [
    step('findOne', 'Team', 3),
    step('findOne', 'Person', 1),
    step('add', ['Team', 'members'], 3, 1),
    revive([['Person', 1]], { populate: { Person: ['teams.members'] } }),
    revive([['Person', 1]], { populate: { Person: ['teams.members'] } }),
  ],
  'what was taken out of a collection, when the other side of it is loaded with it': [
    step('populate', 'Team', 2, ['members.badge'], undefined),
    step('drop', ['Team', 'members'], 2, 1),
    step('lazies', ['Person', 'bio'], 1),
    revive([['Person', 1]], { populate: { Person: ['teams.members'] } }),
  ],
  'a change that is overwritten, of a row that one which is kept leads to': [
    step('lazies', ['Person', 'bio'], 3),
    step('find', 'Badge', [3], undefined),
    step('relate', ['Badge', 'person'], 3, 1),
    revive([['Person', 3]], { freshness: 'managed', unflushed: 'overwrite', populate: { Person: ['boss'] } }),
    revive([['Person', 1]], { unflushed: 'throw' }),
  ],
  'a row that has come into a loaded collection of one that is kept: it is not followed': [
    revive([['Person', 3]], { populate: { Person: ['teams.members'] } }),
    step('qb', 'Team', 3),
    step('elsewhere: link', 3, 3, true),
    revive(
      [
        ['Person', 3],
        ['Person', 1],
      ],
      { freshness: 'managed', populate: { Person: ['teams.members'] } },
    ),
  ],
  'a row that is of the base class now': [
    step('findOne', 'Dog', 1),
    step('elsewhere: become', 'Animal', 1),
    revive([
      ['Dog', 1],
      ['Animal', 1],
    ]),
  ],
  'a row that is of another class now, with changes': [
    step('lazies', ['Dog', 'secret'], 1),
    step('change', ['Dog', 'name'], 1, 3),
    step('change', ['Dog', 'bark'], 1, 3),
    step('elsewhere: become', 'Cat', 1),
    revive([
      ['Animal', 1],
      ['Dog', 1],
      ['Cat', 1],
    ]),
  ],
  'a row of another class than one of its two tokens says: that one is told': [
    revive(
      [
        ['Animal', 1],
        ['Cat', 1],
      ],
      { missing: 'throw' },
    ),
  ],
  'two versions of one row: the token with the other one is told': [
    revive(
      [
        ['Person', 2, 0],
        ['Person', 2, -1],
      ],
      { drift: 'throw' },
    ),
  ],
  'the foreign key of a 1:1 that another row takes over, which a join brings along with its own row': [
    step('lazies', ['Person', 'bio'], 1),
    step('elsewhere: point', ['Person', 'badge'], 1, 3),
    step('elsewhere: point', ['Person', 'badge'], 2, 1),
    revive([['Person', 2]], { populate: { Person: ['teams.members'] } }),
  ],
  'a row that is kept, and older than its token': [
    step('findOne', 'Person', 1),
    step('elsewhere: update', ['Person', 'nickname'], 1, 0),
    revive([['Person', 1, 0]], { freshness: 'managed' }),
  ],
  'a row that is refused, in a collection of one that is kept': [
    step('findOne', 'Person', 1),
    revive([['Person', 1]], {
      freshness: 'managed',
      populate: { Person: ['teams'] },
      authorize: 'all but the second',
    }),
  ],
  'a row that is refused, beside what the user has put into a collection that is not loaded': [
    step('findOne', 'Person', 1),
    step('findOne', 'Team', 3),
    step('add', ['Person', 'teams'], 1, 3),
    revive([['Person', 1]], { populate: { Person: ['teams'] }, authorize: 'all but the second' }),
  ],
  'JSON that the user sets with its keys in another order': [
    revive([['Person', 1]]),
    step('change', ['Person', 'prefs'], 1, 1),
    revive([['Person', 1]], { unflushed: 'throw' }),
  ],
  'a 1:1 that another row has taken over, flushed: MikroORM leaves it undefined': [
    revive([['Person', 1]], { populate: { Person: ['badge', 'staff'] } }),
    step('relate', ['Person', 'badge'], 2, 1),
    step('flush'),
    revive([['Person', 1]], { freshness: 'managed' }),
  ],
  'the 1:1 of a reference, which MikroORM 6 has told from the other side that it is null': [
    revive([['Badge', 2]]),
    step('elsewhere: point', ['Person', 'badge'], 2, 0),
    step('find', 'Badge', [2], undefined),
    revive([['Team', 1]], { populate: { Team: ['members'] } }),
  ],
  'the 1:1 of a reference, which MikroORM 6 leaves undefined where a find takes back what the user has set': [
    step('lazies', ['Badge', 'print'], 2),
    step('find', 'Badge', [1], undefined),
    step('relate', ['Badge', 'person'], 1, 2),
    step('findOne', 'Person', 1),
    revive([['Person', 2]]),
  ],
  'an embedded object that the user has set to null, overwritten, with a lazy column that nobody has read': [
    step('find', 'Person', [3], undefined),
    step('unset', 'address', 3),
    revive([['Person', 3]], { unflushed: 'overwrite' }),
    revive([['Person', 3]], { unflushed: 'throw' }),
  ],
  'an embedded object that the user has set to null, and a find has flushed': [
    step('find', 'Person', [1], undefined),
    step('unset', 'address', 1),
    step('fields', ['Person', 'name'], 1),
    revive([['Person', 1, 0]], { freshness: 'managed', populate: { Person: ['teams.members'] } }),
  ],
  'the 1:1 of a row that was read in part, which MikroORM 6 takes for changed': [
    step('find', 'Badge', [2], undefined),
    step('fields', ['Person', 'name'], 2),
    step('findOne', 'Person', 1),
    revive(
      [
        ['Person', 2],
        ['Person', 1],
      ],
      { freshness: 'managed', populate: { Person: ['badge.person'] } },
    ),
  ],
  ...(has('rowLocks') && {
    'a row that is of another class now, locked and kept': [
      step('findOne', 'Dog', 1),
      step('elsewhere: become', 'Cat', 1),
      step('begin'),
      revive([['Cat', 1]], { freshness: 'managed', lockMode: LockMode.PESSIMISTIC_WRITE }),
    ] as const,
  }),
  'an item that is kept, in a collection that the table says it is not in': [
    revive([['Person', 2]]),
    step('elsewhere: point', ['Person', 'boss'], 2, 2),
    step('findOne', 'Person', 1),
    revive(
      [
        ['Person', 2],
        ['Person', 1],
      ],
      { freshness: 'managed', populate: { Person: ['staff.notes'] } },
    ),
  ],
};
