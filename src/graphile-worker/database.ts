import type { EntityManager } from '@mikro-orm/core';
import { transactionOf } from '../orm/transaction.ts';
import type { PgClientLike, WorkerUtilsLike } from './worker-like.ts';

/** Runs one statement, with `?` for its values. */
export type Execute = (sql: string, ...values: readonly unknown[]) => Promise<readonly Row[]>;

export type Row = Readonly<Record<string, unknown>>;

/** In the open transaction of an EntityManager. */
export const inTransactionOf =
  (em: EntityManager): Execute =>
  (sql, ...values) =>
    em.getConnection().execute(sql, [...values], 'all', transactionOf(em)) as Promise<Row[]>;

/** On a connection of graphile-worker's. */
export const outside =
  (utils: WorkerUtilsLike): Execute =>
  (sql, ...values) =>
    utils.withPgClient((client) => on(client)(sql, ...values));

/** In a transaction of its own. */
export function inTransaction<T>(utils: WorkerUtilsLike, run: (execute: Execute) => Promise<T>): Promise<T> {
  return utils.withPgClient(async (client) => {
    await client.query('begin');
    try {
      const result = await run(on(client));
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  });
}

const on =
  (client: PgClientLike): Execute =>
  async (sql, ...values) => {
    let count = 0;
    const numbered = sql.replaceAll('?', () => `$${++count}`);
    return (await client.query(numbered, [...values])).rows as Row[];
  };
