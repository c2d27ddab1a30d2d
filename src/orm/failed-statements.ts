import { hasRolledBack } from './commit-error.ts';
import { type KyselyConnection, kyselyQuery, type KyselyTransaction } from './transaction.ts';

const IN_FAILED_SQL_TRANSACTION = '25P02';

/**
 * Whether statements of a transaction have failed, whoever sent them and whether or not their error was caught. Kysely
 * up to 0.29.7 keeps to itself what the server answers to COMMIT; this way only a transaction that may be aborted has
 * to be asked.
 */
export class FailedStatements {
  readonly #transaction: KyselyTransaction;
  readonly #rolledBack: () => void;
  #any = false;
  #isOver = false;
  #restore = (): void => {};

  /** `rolledBack` is called where a failure has undone the whole transaction. */
  constructor(transaction: KyselyTransaction, rolledBack: () => void) {
    this.#transaction = transaction;
    this.#rolledBack = rolledBack;
    // Called at once, or when the query that is under way has ended.
    void transaction.getExecutor().provideConnection(async (connection) => this.#watch(connection));
  }

  /** A savepoint may have been rolled back since, so that nothing is aborted any more. */
  async haveAborted(): Promise<boolean> {
    if (!this.#any) return false;
    try {
      await this.#transaction.executeQuery(kyselyQuery('select 1'));
      return false;
    } catch (error) {
      return (error as { code?: unknown }).code === IN_FAILED_SQL_TRANSACTION;
    }
  }

  /** The connection goes back to the pool as it came. */
  unwatch(): void {
    this.#isOver = true;
    this.#restore();
  }

  #watch(connection: KyselyConnection): void {
    if (this.#isOver) return;
    const { executeQuery, streamQuery } = connection;
    const failed = (error: unknown): never => {
      this.#any = true;
      if (hasRolledBack(error)) this.#rolledBack();
      throw error;
    };
    const own: KyselyConnection = {
      executeQuery: (...args) => executeQuery.apply(connection, args).catch(failed),
      async *streamQuery(...args) {
        try {
          yield* streamQuery.apply(connection, args);
        } catch (error) {
          failed(error);
        }
      },
    };
    const before = Object.getOwnPropertyDescriptors(connection);
    Object.assign(connection, own);
    // Where somebody else has wrapped it since, ours stays inside.
    this.#restore = () => {
      for (const name of ['executeQuery', 'streamQuery'] as const) {
        if (connection[name] !== own[name]) continue;
        const { [name]: descriptor } = before;
        if (descriptor === undefined) delete (connection as Partial<KyselyConnection>)[name];
        else Object.defineProperty(connection, name, descriptor);
      }
    };
  }
}
