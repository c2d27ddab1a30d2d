import type { EntityManager } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { openTransactionOf } from './transaction.ts';

const joined = new AsyncLocalStorage<EntityManager>();

/** Has the EntityManagers that are made for jobs join the open transaction of another one: a test's, which is rolled back. */
export const joinTransaction = <T>(em: EntityManager, fn: () => Promise<T>): Promise<T> => joined.run(em, fn);

/** A fork in the transaction that is to be joined, where that is open, and of the ORM of `own`. */
export function forkToJoin(own: EntityManager): EntityManager | undefined {
  const em = joined.getStore();
  if (em?.config !== own.config) return undefined;
  const transaction = openTransactionOf(em);
  if (transaction === undefined) return undefined;
  const { schema } = em;
  const fork = em.fork(schema === undefined ? {} : { schema });
  fork.setTransactionContext(transaction);
  return fork;
}
