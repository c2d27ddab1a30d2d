/** All that is not tested with MikroORM 6, and why. Everything else is, so this list stays short. */

/** What MikroORM 6 doesn't have. */
export const ABSENT_FEATURES = {
  'a table per type': 'MikroORM 6 knows single-table inheritance only',
  'references by another key than the primary one': 'MikroORM 6 has no targetKey',
  'two entities of one class name': 'MikroORM 6 refuses them itself',
} as const;

/** Files that need MikroORM 7 as a whole. */
export const ABSENT_FILES = {
  'test/integration/tc39-decorators.test.ts': 'MikroORM 6 has legacy decorators only',
} as const;

/** What MikroORM 6 has under other names. libSQL is the SQLite whose package holds its binaries. */
export const ELSEWHERE = {
  '@mikro-orm/decorators/legacy': '@mikro-orm/core',
  '@mikro-orm/sqlite': '@mikro-orm/libsql',
} as const;
