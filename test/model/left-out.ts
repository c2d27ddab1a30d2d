import { isMikroOrm6 } from '../../fixtures/majors.ts';

/** What programs do not do, or the oracle does not look at, because MikroORM itself is wrong there without any revive. */
export const LEFT_OUT = {
  'columns of another class':
    'of a single table, set in a row that is not of it: a flush after a plain find sets them to null',
  'em.refresh without the lazy properties that are loaded': 'the next flush writes their old values',
  'em.refresh of a row that was read in part in MikroORM 6': 'what is NULL in it does not count as loaded',
  'em.merge of an entity that is managed': 'what is given counts as stored, also over changes',
  'em.upsert of an entity with changes': 'what it keeps of them depends on the statement',
  'em.upsert into several tables': 'it is for one',
  'em.map of a row of several tables': 'it takes one row',
  'a new entity whose key a row has': 'MikroORM 7 takes it for that row, and does not insert it once the row is read',
  'a row whose class changes': 'an object can not',
  'how often a pivot row is inserted':
    'from one side, the other, or both, the second time `on conflict do nothing`, `insert ignore` on MySQL',
  'NULL of an embedded array in MikroORM 6':
    'it is undefined in an entity that is made from the row, and not written where it was undefined',
  'what pointed to a row that was removed':
    'it is undefined, in MikroORM 6 also after the flush; a flush unlinks what is loaded',
  'populate of `pets` by a join': 'one with a class that has rows of its own leaves out those of subclasses',
  'updates of several rows in one statement': 'of entities with a version it can be no SQL: that is set twice',
  'what a flush writes of lists and embedded objects in JSON with `forceEntityConstructor`':
    'all of them, unchanged or not',
  'custom types and the result cache in MikroORM 6': 'it converts what it has converted',
  'em.stream, tables per type in MikroORM 6': 'it has none',
} as const;

export const isLeftOut = (what: keyof typeof LEFT_OUT): boolean => isMikroOrm6 || !what.endsWith('in MikroORM 6');
