import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { execute, readAsKeys } from '../orm/key-query.ts';
import { isMysql } from '../orm/platform.ts';
import { flatKey } from './meet.ts';
import type { Row, RowGroup } from './resolve.ts';

/**
 * Runs a query for rows, and explains the two errors that may be about the payload or the lock: E_MALFORMED, E_LOCKED.
 * Any other is the database's and passes through.
 */
export function blaming<T>(
  em: EntityManager,
  group: RowGroup,
  rows: readonly Row[],
  query: () => Promise<T>,
): Promise<T> {
  // An error aborts a transaction, MySQL's excepted, and then nothing can be asked in it, nor written: a key of the
  // payload's must not do that. Keys of types that this library knows have been checked, so they don't.
  if (group.primaryKey.isUnchecked && em.isInTransaction()) return blamingInSavepoint(em, group, rows, query);
  return query().catch(async (error: unknown) => {
    throw await explain(error, em, group, rows, !em.isInTransaction() || isMysql(em.getPlatform()));
  });
}

async function blamingInSavepoint<T>(
  em: EntityManager,
  group: RowGroup,
  rows: readonly Row[],
  query: () => Promise<T>,
) {
  await execute(em, `savepoint ${SAVEPOINT}`);
  let result: T;
  try {
    result = await query();
  } catch (error) {
    const isData = isDataException(error);
    if (isData) await execute(em, `rollback to savepoint ${SAVEPOINT}`);
    const explained = await explain(error, em, group, rows, true);
    if (isData && explained !== error) await execute(em, `rollback to savepoint ${SAVEPOINT}`);
    throw explained;
  }
  await execute(em, `release savepoint ${SAVEPOINT}`);
  return result;
}

/** What is to be thrown for an error of a query: itself, where it is about neither the payload nor the lock. */
async function explain(
  error: unknown,
  em: EntityManager,
  group: RowGroup,
  rows: readonly Row[],
  mayAsk: boolean,
): Promise<unknown> {
  if (isNotFree(error)) {
    return ByReferenceError.locked(tokensOf(rows), 'roll back and retry the transaction', error);
  }
  if (!isDataException(error) || !mayAsk || !(await refusesKeys(em, group, rows))) return error;
  return ByReferenceError.malformed('the database refuses a key as a value of its column', {
    cause: error,
    tokens: tokensOf(rows),
    path: rows[0]!.path,
  });
}

const SAVEPOINT = 'byref_keys';

/** A policy, a filter or a formula fails with the same errors: the keys alone tell whether it is theirs. */
async function refusesKeys(em: EntityManager, group: RowGroup, rows: readonly Row[]): Promise<boolean> {
  try {
    await readAsKeys(em, group.metadata, group.schema ?? em.schema, rows.map(flatKey));
    return false;
  } catch (error) {
    return isDataException(error) || codeOf(error) === CHECK_VIOLATION;
  }
}

const tokensOf = (rows: readonly Row[]) => rows.map((row) => row.token);

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const LOCK_NOT_AVAILABLE = '55P03';
/** Of a domain: its check says what is no value of it. */
const CHECK_VIOLATION = '23514';

/** MySQL's answer to NOWAIT; MariaDB's, which is also that of both to a lock waited for in vain. */
const NOT_FREE: ReadonlySet<unknown> = new Set(['ER_LOCK_NOWAIT', 'ER_LOCK_WAIT_TIMEOUT']);

/** What MySQL and MariaDB say of text that the character set of its column does not have. */
const NOT_OF_CHARSET: ReadonlySet<unknown> = new Set([
  'ER_CANNOT_CONVERT_STRING',
  'ER_CANT_AGGREGATE_2COLLATIONS',
  'ER_CANT_AGGREGATE_3COLLATIONS',
  'ER_CANT_AGGREGATE_NCOLLATIONS',
]);

const isNotFree = (error: unknown): boolean => codeOf(error) === LOCK_NOT_AVAILABLE || NOT_FREE.has(codeOf(error));

const isDataException = (error: unknown): boolean =>
  NOT_OF_CHARSET.has(codeOf(error)) || /^22...$/.test(String(codeOf(error)));

const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown } | null)?.code;
