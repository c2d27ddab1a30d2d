import { type End, endBy, hasRolledBack } from './commit-error.ts';
import { FailedStatements } from './failed-statements.ts';
import {
  isKnex,
  isSavepoint,
  type KnexTransaction,
  type KyselyCommand,
  type KyselyTransaction,
  markEnded,
  parentOf,
  type Transaction,
} from './transaction.ts';

/** Told of an end; `error` is what COMMIT failed with. Never rejects. */
type Told = (end: End, error?: unknown) => Promise<void>;

/** Of a transaction that is watched. */
interface Watch {
  readonly listeners: Told[];
  /** COMMIT is sent, and its answer will tell. */
  isCommitting: boolean;
  readonly tell: Told;
  /** Tells that all so far is rolled back, and the transaction not over for MikroORM: others may be told more later. */
  readonly undone: () => void;
}

/** By the transaction itself, so that two copies of this package wrap it once. */
const WATCH = Symbol.for('mikro-orm-byref.watch');

type Watched = Transaction & { readonly [WATCH]?: Watch };

/**
 * Tells how a transaction ends. MikroORM's events don't: after a COMMIT whose answer was lost there are the same as
 * after one that was refused, and PostgreSQL's ROLLBACK in answer to a COMMIT passes for a commit. So the transaction's
 * own `commit` and `rollback` are wrapped. Of a savepoint nothing is told but that it rolls back, and of Kysely's not
 * even that: there is an event for it.
 *
 * `told` is awaited before the commit resolves, and may be called more than once.
 */
export function onEnd(transaction: object, told: Told): void {
  const watched = transaction as Watched;
  if (watched[WATCH] !== undefined) {
    watched[WATCH].listeners.push(told);
    return;
  }
  const watch: Watch = {
    listeners: [told],
    isCommitting: false,
    tell: async (end, error) => {
      watch.isCommitting = false;
      markEnded(transaction);
      for (const listener of watch.listeners) await listener(end, error);
    },
    undone() {
      for (const listener of watch.listeners) void listener('rolled back');
    },
  };
  Reflect.defineProperty(watched, WATCH, { value: watch });
  if (isKnex(watched)) watchKnex(watched, watch);
  else if (!isSavepoint(watched)) watchKysely(watched, watch);
}

/** Whether COMMIT is sent: a ROLLBACK after it proves nothing. */
export const isCommitting = (transaction: object): boolean => (transaction as Watched)[WATCH]?.isCommitting === true;

function watchKysely(transaction: KyselyTransaction, watch: Watch): void {
  const { commit, rollback } = transaction;
  if (commit === undefined || rollback === undefined) return;
  const failures = new FailedStatements(transaction, watch.undone);
  transaction.commit = () => {
    const command = commit.call(transaction);
    return {
      execute: async () => {
        watch.isCommitting = true;
        const isAborted = await failures.haveAborted();
        try {
          await command.execute();
        } catch (error) {
          const end = isAborted ? 'rolled back' : endBy(error);
          if (end === undefined) watch.isCommitting = false;
          else await watch.tell(end, error);
          throw error;
        } finally {
          failures.unwatch();
        }
        await watch.tell(isAborted ? 'rolled back' : 'committed');
      },
    };
  };
  transaction.rollback = (): KyselyCommand => {
    const command = rollback.call(transaction);
    return {
      execute: async () => {
        failures.unwatch();
        if (!watch.isCommitting) await watch.tell('rolled back');
        await command.execute();
      },
    };
  };
}

function watchKnex(transaction: KnexTransaction, watch: Watch): void {
  const { commit, rollback, executionPromise } = transaction;
  transaction.rollback = async (error) => {
    if (!watch.isCommitting) await watch.tell('rolled back');
    return rollback(error);
  };
  // A released savepoint has the end of what is around it.
  if (parentOf(transaction) !== undefined) return;
  // Those of savepoints too.
  transaction.client.on('query-error', (error) => {
    if (hasRolledBack(error)) watch.undone();
  });
  let committing: ReturnType<typeof commit> | undefined;
  transaction.commit = (value) => {
    watch.isCommitting = true;
    committing = commit(value);
    return committing;
  };
  transaction.executionPromise = executionPromise.then(
    async (value) => {
      if (committing === undefined) return value;
      const answer = await committing;
      await watch.tell(answer?.response?.command === 'ROLLBACK' ? 'rolled back' : 'committed');
      return value;
    },
    async (error: unknown) => {
      // It can't be used again, whatever the database says.
      if (committing !== undefined) await watch.tell(endBy(error) ?? 'rolled back', error);
      throw error;
    },
  );
  // Knex handles the failure, and MikroORM does where it awaits it.
  transaction.executionPromise.catch(() => undefined);
}
