import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { ambientTransaction, entityManagerOf, isSavepoint, transactionOf } from '../orm.ts';

/**
 * The EntityManager whose transaction a job belongs to: the given one's, else that of the entities in its arguments,
 * else the ambient one; undefined outside any. Throws E_TRANSACTION_MISMATCH where they are in two transactions.
 */
export function transactionFor(
  globalEm: EntityManager,
  given: EntityManager | undefined,
  entities: Iterable<AnyEntity>,
): EntityManager | undefined {
  let chosen = given !== undefined && transactionOf(given) !== undefined ? given : undefined;
  for (const entity of entities) {
    const em = entityManagerOf(entity);
    const transaction = em && transactionOf(em);
    if (transaction === undefined) continue;
    if (chosen === undefined && given === undefined) chosen = em;
    else if (!isSame(chosen, transaction)) throw ByReferenceError.transactionMismatch();
  }
  return chosen ?? (given === undefined ? ambientTransaction(globalEm) : undefined);
}

/** A savepoint is part of a transaction that can't be told from here, so it is given the benefit of the doubt. */
function isSame(em: EntityManager | undefined, transaction: object): boolean {
  const other = em && transactionOf(em);
  return other === transaction || (other !== undefined && (isSavepoint(other) || isSavepoint(transaction)));
}
