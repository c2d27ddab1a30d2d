import type { EntityManager } from '@mikro-orm/core';

const ENDED = Symbol.for('mikro-orm-byref.ended');

/** Kysely's transaction, which is what MikroORM 7 has for one. */
interface KyselyTransaction {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
  /** Of a savepoint that is over. */
  readonly [ENDED]?: true;
  executeQuery(query: object): Promise<{ readonly rows: readonly object[] }>;
}

/** Knex's transaction, a function with members, which is what MikroORM 6 has for one. */
interface KnexTransaction {
  readonly client: { acquireConnection(): Promise<PgClient> };
  /** Of a savepoint: the transaction or savepoint around it. */
  readonly parentTransaction?: KnexTransaction;
  /** Settles with the end, and does not tell a commit from a rollback. */
  readonly executionPromise: Promise<unknown>;
  isCompleted(): boolean;
  rollback(error?: unknown): unknown;
}

interface PgClient {
  query(sql: string, parameters: readonly unknown[]): Promise<{ readonly rows: readonly object[] }>;
}

type Transaction = KyselyTransaction | KnexTransaction;

const isKnex = (transaction: Transaction): transaction is KnexTransaction => 'isCompleted' in transaction;

const hasEnded = (transaction: Transaction): boolean =>
  isKnex(transaction)
    ? transaction.isCompleted()
    : transaction.isCommitted || transaction.isRolledBack || transaction[ENDED] === true;

/**
 * The open transaction or savepoint of an EntityManager, as an identity. The EntityManager of `em.transactional` keeps
 * it when it has ended, and entities keep that EntityManager.
 */
export function transactionOf(em: EntityManager): object | undefined {
  const transaction = em.getTransactionContext<Transaction>();
  return transaction === undefined || hasEnded(transaction) ? undefined : transaction;
}

export const isSavepoint = (transaction: object | undefined): boolean =>
  transaction !== undefined && 'savepointName' in transaction;

/** What a savepoint is in, where it knows that itself: Knex's does. */
export const knownParentOf = (transaction: object): object | undefined =>
  (transaction as Partial<KnexTransaction>).parentTransaction;

/**
 * Tells of the end of a savepoint where MikroORM doesn't: 7 dispatches the events of transactions for savepoints too,
 * 6 for neither their release nor their rollback. `ended` gets the transaction around it when it is released, undefined
 * when it is rolled back.
 */
export function onSavepointEnd(transaction: object, ended: (parent: object | undefined) => void): void {
  const savepoint = transaction as Transaction;
  if (!isKnex(savepoint) || savepoint.parentTransaction === undefined) return;
  let parent: object | undefined = savepoint.parentTransaction;
  const { rollback } = savepoint;
  savepoint.rollback = (error) => {
    parent = undefined;
    return rollback(error);
  };
  savepoint.executionPromise.then(
    () => ended(parent),
    () => ended(undefined),
  );
}

/** Runs SQL with `$1` parameters in the open transaction of an EntityManager, past MikroORM's own placeholders. */
export async function executeInTransaction(
  em: EntityManager,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<object[]> {
  const transaction = transactionOf(em) as Transaction | undefined;
  if (transaction === undefined) throw new Error('The transaction has ended.');
  if (isKnex(transaction)) {
    // The connection of the transaction; Knex would take each `?` for a parameter.
    const connection = await transaction.client.acquireConnection();
    return [...(await connection.query(sql, parameters)).rows];
  }
  const query = { sql, parameters, query: { kind: 'RawNode' }, queryId: { queryId: 'mikro-orm-byref' } };
  return [...(await transaction.executeQuery(query)).rows];
}

/** A savepoint of Kysely does not know that it is over; whoever is told of it says so here. */
export function markEnded(transaction: object): void {
  Reflect.defineProperty(transaction, ENDED, { value: true });
}

/** The EntityManager of the transaction or request that runs around the call, where that is in a transaction. */
export function ambientTransaction(em: EntityManager): EntityManager | undefined {
  const context = em.getContext(false);
  return transactionOf(context) === undefined ? undefined : context;
}
