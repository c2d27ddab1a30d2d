import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, isOf } from '../orm/context.ts';
import { entityManagerOf } from '../orm/entity.ts';
import { ambientTransaction, isWithin, transactionOf } from '../orm/transaction.ts';

/**
 * The EntityManager whose transaction a job belongs to: the given one's, else that of the entities in its arguments,
 * else the ambient one of any ORM; undefined outside any. Where the ambient one is a savepoint of theirs, the job is of
 * that, and goes with it. Throws E_TRANSACTION_MISMATCH where they are in two transactions.
 */
export function transactionFor(
  serializer: EntitySerializer,
  given: EntityManager | undefined,
  entities: Iterable<AnyEntity>,
): EntityManager | undefined {
  if (given !== undefined) {
    for (const em of transactionsOf(entities))
      if (innermost(given, em) === undefined) throw ByReferenceError.transactionMismatch();
    return transactionOf(given) === undefined ? undefined : given;
  }
  let chosen: EntityManager | undefined;
  for (const em of transactionsOf(entities)) {
    chosen = chosen === undefined ? em : innermost(chosen, em);
    if (chosen === undefined) throw ByReferenceError.transactionMismatch();
  }
  const [ambient] = globalManagers(serializer).flatMap((em) => ambientTransaction(em) ?? []);
  if (chosen === undefined || ambient === undefined) return chosen ?? ambient;
  return isWithin(ambient, chosen) ? ambient : chosen;
}

/** Whether a job can be part of the transaction of an EntityManager: jobs are in the database of the first ORM. */
export const canHoldJobs = (em: EntityManager, { orm }: EntitySerializer): boolean => isOf(em, orm);

/** The EntityManagers of entities, where they are in a transaction. */
function* transactionsOf(entities: Iterable<AnyEntity>): Iterable<EntityManager> {
  for (const entity of entities) {
    const em = entityManagerOf(entity);
    if (em !== undefined && transactionOf(em) !== undefined) yield em;
  }
}

/** Of one transaction and a savepoint in it the latter; undefined for two that have nothing in common. */
function innermost(one: EntityManager, other: EntityManager): EntityManager | undefined {
  if (transactionOf(one) === transactionOf(other) || isWithin(one, other)) return one;
  return isWithin(other, one) ? other : undefined;
}
