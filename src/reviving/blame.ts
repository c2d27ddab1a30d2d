import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { execute, readAsKeys } from '../orm/key-query.ts';
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
  // An error aborts a transaction, and then nothing can be asked in it, nor written: a key of the payload's must not do
  // that. Keys of types that this library knows have been checked, so they don't.
  if (group.primaryKey.isUnchecked && em.isInTransaction()) return blamingInSavepoint(em, group, rows, query);
  return query().catch(async (error: unknown) => {
    throw await explain(error, em, group, rows, !em.isInTransaction());
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
    const isData = isDataException(sqlStateOf(error));
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
  const state = sqlStateOf(error);
  if (state === LOCK_NOT_AVAILABLE) {
    return ByReferenceError.locked(tokensOf(rows), 'roll back and retry the transaction', error);
  }
  if (!isDataException(state) || !mayAsk || !(await refusesKeys(em, group, rows))) return error;
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
    return isDataException(sqlStateOf(error)) || sqlStateOf(error) === CHECK_VIOLATION;
  }
}

const tokensOf = (rows: readonly Row[]) => rows.map((row) => row.token);

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const LOCK_NOT_AVAILABLE = '55P03';
/** Of a domain: its check says what is no value of it. */
const CHECK_VIOLATION = '23514';

const isDataException = (state: string | undefined): boolean => state !== undefined && /^22...$/.test(state);

function sqlStateOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
