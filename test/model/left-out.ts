import { isMikroOrm6 } from '../../fixtures/majors.ts';

/**
 * What programs do not do, or the oracle does not look at, because MikroORM itself is wrong there without any revive:
 * test/model/left-out.test.ts shows each.
 */
export const LEFT_OUT = {
  'columns of another class':
    'of a single table, set in a row of its root class: a flush after a plain find sets them to null',
  'em.refresh without the lazy properties that are loaded':
    'they stay old, and in MikroORM 6 the next flush writes what a `ScalarReference` had',
  'em.refresh of a row that was read in part in MikroORM 6':
    'an embedded array that is NULL in it does not count as loaded',
  'em.refresh that the result cache answers, beside an entity with changes':
    'where the row points to that entity, its changes count as stored, and are lost; not on PostgreSQL',
  'em.upsert of an entity with changes': 'they are lost where the statement returns the row',
  'em.map of a row of several tables': 'it takes one row, and counts as loaded',
  'a new entity whose key a row has': 'a find that refreshes takes it for that row, and it is never inserted',
  'how often a pivot row is inserted':
    'from one side, the other, or both, the second time `on conflict do nothing`, `insert ignore` on MySQL',
  'NULL of an embedded array in MikroORM 6':
    'it is undefined in an entity that is made from the row, and not written where it was undefined',
  'the 1:1 of a row that was read in part in MikroORM 6':
    'where the other side has told it, it counts as changed, and a flush writes once more what the row has',
  'what pointed to a row that was removed': 'it is undefined after the flush, and not null',
  'populate of `pets` by a join': 'one with a class that has rows of its own leaves out those of subclasses',
  'updates of several rows in one statement':
    'where a 1:1 moves, of entities with a version, it can be no SQL: that is set twice',
  'into how many updates a flush splits a 1:1 that moves': 'depends on the order in which it meets the rows',
  'what a flush writes of lists and embedded objects in JSON with `forceEntityConstructor`':
    'all of them, unchanged or not',
  'in which order rows come, with `forceEntityConstructor`':
    'a row that another one of the same query has pointed to before is merged into a reference, and counts as unchanged',
  'a row that a query meets on two ways, with `forceEntityConstructor` in MikroORM 6':
    'it makes two objects of it, and the next flush takes the 1:1 away that the second one has given up',
  'custom types and the result cache in MikroORM 6': 'it converts what it has converted',
  'em.stream, tables per type in MikroORM 6': 'it has none',
} as const;

/** What MikroORM takes for changed although nobody has changed it: the oracle takes it for the user's. */
export const TOLD = {
  'a 1:1 that has gone over to another row': 'which is read, and the row that had it is managed',
  'an embedded object in another, NULL in all its columns':
    'of a managed row that the result cache answers with once more',
  'JSON with its keys in another order': 'than the database has them in',
} as const;

/** What reviving relies on. */
export const RELIED_ON = {
  'a row whose class changes':
    'its object stays one of the old class, till a find that refreshes gives it another prototype; all that it had stays',
  'an update of a row whose class has changed': 'is one of no row, and no error',
} as const;

export const isLeftOut = (what: keyof typeof LEFT_OUT): boolean => isMikroOrm6 || !what.endsWith('in MikroORM 6');
