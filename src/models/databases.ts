import type { MikroORM } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { driverName, hasTables, isTested } from '../orm/platform.ts';

/** Throws E_UNSUPPORTED for a database that is known not to work, and warns of one that nobody has tried. */
export function judgeDatabase({ em }: MikroORM): void {
  if (!hasTables(em.getPlatform())) {
    throw ByReferenceError.unsupported(
      `An EntitySerializer on ${driverName(em)}`,
      'its keys are no columns, which tokens are checked by: take PostgreSQL, MySQL, MariaDB or SQLite',
    );
  }
  if (isTested(em.getPlatform())) return;
  process.emitWarning(
    `Nothing of mikro-orm-byref is tested on ${driverName(em)}: keys are checked by what their properties are declared to be, and how this database compares them is not known. PostgreSQL, MySQL, MariaDB and SQLite are tested.`,
    { type: 'ByReferenceWarning', code: 'BYREF_UNTESTED_DATABASE' },
  );
}
