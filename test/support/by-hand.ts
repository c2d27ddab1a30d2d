import type { EntityManager } from '@mikro-orm/core';

/** Runs the work in a transaction, nested where there is one, by `begin`, `commit` and `rollback`. */
export async function byHand<E extends EntityManager>(em: E, work: (em: E) => Promise<unknown>): Promise<void> {
  const inner = em.fork() as E;
  await inner.begin({ ctx: em.getTransactionContext() });
  try {
    await work(inner);
    await inner.commit();
  } catch (error) {
    await inner.rollback();
    throw error;
  }
}
