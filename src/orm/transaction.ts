import type { EntityManager } from '@mikro-orm/core';

const ENDED = Symbol.for('mikro-orm-byref.ended');
const PARENT = Symbol.for('mikro-orm-byref.parent');

/** What is known of a transaction beside what it says itself. */
interface Noted {
  readonly [ENDED]?: true;
  /** Of a savepoint: the transaction or savepoint around it. */
  readonly [PARENT]?: Transaction;
}

/** Kysely's transaction, which is what MikroORM 7 has for one. */
export interface KyselyTransaction extends Noted {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
  /** Absent where it ends by itself, with a callback. */
  commit?(): KyselyCommand;
  rollback?(): KyselyCommand;
  executeQuery(query: object): Promise<{ readonly rows: readonly object[] }>;
  getExecutor(): { provideConnection(use: (connection: KyselyConnection) => Promise<void>): Promise<void> };
}

/** A statement that is still to be sent. */
export interface KyselyCommand {
  execute(): Promise<void>;
}

/** What all statements of a transaction pass through. */
export interface KyselyConnection {
  executeQuery(...args: never[]): Promise<unknown>;
  streamQuery(...args: never[]): AsyncIterableIterator<unknown>;
}

/** Knex's transaction, a function with members, which is what MikroORM 6 has for one. */
export interface KnexTransaction extends Noted {
  readonly client: {
    acquireConnection(): Promise<PgClient>;
    on(event: 'query-error', listener: (error: unknown) => void): unknown;
  };
  readonly parentTransaction?: KnexTransaction;
  /** Settles with the end, and does not tell a commit from a rollback; MikroORM awaits it after `commit`. */
  executionPromise: Promise<unknown>;
  isCompleted(): boolean;
  /** Resolves with what the server answered, with nothing where it failed. */
  commit(value?: unknown): Promise<{ readonly response?: { readonly command?: string } } | undefined>;
  rollback(error?: unknown): unknown;
}

interface PgClient {
  query(sql: string, parameters: readonly unknown[]): Promise<{ readonly rows: readonly object[] }>;
}

export type Transaction = KyselyTransaction | KnexTransaction;

export const isKnex = (transaction: Transaction): transaction is KnexTransaction => 'isCompleted' in transaction;

/** Rejects with what BEGIN failed with: MikroORM 6 goes on, in a transaction that Knex has ended. */
export async function requireBegun(transaction: Transaction): Promise<void> {
  if (isKnex(transaction) && transaction.isCompleted()) await transaction.executionPromise;
}

/** A savepoint is over with the transaction around it; not every driver tells of its own end. */
function hasEnded(transaction: Transaction): boolean {
  const { [ENDED]: isEnded = false } = transaction;
  if (isEnded || (isKnex(transaction) ? transaction.isCompleted() : isKyselyOver(transaction))) return true;
  const parent = parentOf(transaction);
  return parent !== undefined && hasEnded(parent as Transaction);
}

const isKyselyOver = ({ isCommitted, isRolledBack }: KyselyTransaction): boolean => isCommitted || isRolledBack;

/**
 * The open transaction or savepoint of an EntityManager, as an identity. The EntityManager of `em.transactional` keeps
 * it when it has ended, and entities keep that EntityManager.
 */
export function transactionOf(em: EntityManager): object | undefined {
  const transaction = em.getTransactionContext<Transaction>();
  return transaction === undefined || hasEnded(transaction) ? undefined : transaction;
}

/**
 * The same, or where that is over the one around it: MikroORM 6 goes on in a savepoint that the database has refused,
 * and entities keep the EntityManager of one that is released.
 */
export function openTransactionOf(em: EntityManager): object | undefined {
  let transaction: object | undefined = em.getTransactionContext<Transaction>();
  while (transaction !== undefined && hasEnded(transaction as Transaction)) transaction = parentOf(transaction);
  return transaction;
}

export const isSavepoint = (transaction: object | undefined): boolean =>
  transaction !== undefined && 'savepointName' in transaction;

/** The transaction or savepoint that a savepoint is in: Knex's knows it itself, of Kysely's `setParent` has told it. */
export const parentOf = (transaction: object): object | undefined =>
  (transaction as Transaction)[PARENT] ?? (transaction as Partial<KnexTransaction>).parentTransaction;

export function setParent(savepoint: object, parent: object): void {
  Reflect.defineProperty(savepoint, PARENT, { value: parent });
}

/** Whether a transaction is another one, or a savepoint in it, however deep. */
export function isPartOf(inner: object, outer: object): boolean {
  const parent = parentOf(inner);
  return inner === outer || (parent !== undefined && isPartOf(parent, outer));
}

export function outermost(transaction: object): object {
  const parent = parentOf(transaction);
  return parent === undefined ? transaction : outermost(parent);
}

/** Whether the transaction of an EntityManager is a savepoint of another one's. One of an unknown parent may be. */
export function isWithin(inner: EntityManager, outer: EntityManager): boolean {
  const [own, other] = [transactionOf(inner), transactionOf(outer)];
  if (own === undefined || other === undefined || own === other) return false;
  return isPartOf(own, other) || isSavepoint(outermost(own));
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
  return [...(await transaction.executeQuery(kyselyQuery(sql, parameters))).rows];
}

export const kyselyQuery = (sql: string, parameters: readonly unknown[] = []): object => ({
  sql,
  parameters,
  query: { kind: 'RawNode' },
  queryId: { queryId: 'mikro-orm-byref' },
});

/** A savepoint of Kysely does not know that it is over, nor any transaction whose COMMIT or ROLLBACK failed. */
export function markEnded(transaction: object): void {
  Reflect.defineProperty(transaction, ENDED, { value: true });
}

/** The EntityManager of the transaction or request that runs around the call, where that is in a transaction. */
export function ambientTransaction(em: EntityManager): EntityManager | undefined {
  const context = em.getContext(false);
  return transactionOf(context) === undefined ? undefined : context;
}
