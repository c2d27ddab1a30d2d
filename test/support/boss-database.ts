import type { EntityManager } from '@mikro-orm/core';
import { fromKnex, fromKysely, type Db } from 'pg-boss';

/** The transaction of an EntityManager, by pg-boss's own adapter for what the MikroORM major at hand builds on. */
export function bossDatabase(em: EntityManager): Db {
  const { getKysely } = em as { getKysely?: () => never };
  return getKysely === undefined ? fromKnex(em.getTransactionContext()!) : fromKysely(getKysely.call(em));
}
