import type { EntityManager, MikroORM, TransactionEventArgs } from '@mikro-orm/core';
import { channel } from 'node:diagnostics_channel';
import { ByReferenceError } from '../errors.ts';
import { contextOf, runInContext } from '../orm/context.ts';
import { markEnded, transactionOf } from '../orm/transaction.ts';
import { TransactionScopes } from './transaction-scopes.ts';

/** What runs after a commit; it gets an EntityManager of its own, because the transaction's has ended. */
export type CommitCallback = (em: EntityManager) => unknown;

export interface AfterCommitOptions {
  /** Told when `fn` throws or rejects. Default: a process warning. The diagnostics channel `mikro-orm-byref:after-commit-error` hears of it too. */
  readonly onError?: (error: unknown) => void;
  /** Told when the transaction, or the savepoint of this call, rolls back. */
  readonly onRollback?: () => void;
}

interface Pending {
  readonly onRollback: (() => void) | undefined;
  readonly em: EntityManager;
  readonly fn: CommitCallback;
  readonly onError: (error: unknown) => void;
}

const errors = channel('mikro-orm-byref:after-commit-error');

/**
 * Runs `fn` once the outermost transaction of `em` has committed; never, when it or the savepoint of this call rolls
 * back; at once, when there is no transaction. Nothing waits for `fn`, and its failure can't undo the commit: it goes
 * to `onError`. Throws E_INVALID_OPTION when no EntitySerializer was built for the ORM before the transaction began.
 */
export function afterCommit(em: EntityManager, fn: CommitCallback, options: AfterCommitOptions = {}): void {
  const context = contextOf(em);
  const { onError = warn, onRollback } = options;
  const pending: Pending = { em: context, fn, onError, onRollback };
  const transaction = transactionOf(context);
  if (transaction === undefined) {
    run(pending);
    return;
  }
  const listener = listenerOf(context);
  if (listener === undefined) {
    throw ByReferenceError.invalidOption(
      'em',
      'one whose ORM had an EntitySerializer before its transaction began',
      em,
    );
  }
  listener.add(transaction, pending);
}

/** Whether the transaction of an EntityManager is a savepoint, however deep, of another one's. */
export function isWithin(inner: EntityManager, outer: EntityManager): boolean {
  const [own, other] = [transactionOf(inner), transactionOf(outer)];
  return own !== undefined && other !== undefined && listenerOf(inner)?.isWithin(own, other) === true;
}

function listenerOf(em: EntityManager): CommitListener | undefined {
  for (const subscriber of em.getEventManager().getSubscribers()) {
    if (subscriber instanceof CommitListener) return subscriber;
  }
  return undefined;
}

/** Puts the listener on the ORM. `em.transactional` copies the list of listeners, so it must be there before. */
export function listenToCommits(orm: MikroORM): void {
  if (listenerOf(orm.em) === undefined) orm.em.getEventManager().registerSubscriber(new CommitListener());
}

class CommitListener extends TransactionScopes<Pending> {
  async afterTransactionCommit({ transaction }: TransactionEventArgs): Promise<void> {
    markEnded(transaction!);
    for (const pending of this.release(transaction!)) run(pending);
  }

  override async afterTransactionRollback(args: TransactionEventArgs): Promise<void> {
    markEnded(args.transaction!);
    await super.afterTransactionRollback(args);
  }

  protected override dropped({ onRollback }: Pending): void {
    onRollback?.();
  }
}

/** Starts a callback outside the transaction's context and lets nothing of it reach the commit. */
function run({ em, fn, onError }: Pending): void {
  const own = em.fork();
  const settled = runInContext(own, async () => fn(own));
  settled.catch((error: unknown) => {
    errors.publish(error);
    onError(error);
  });
}

function warn(error: unknown): void {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.emitWarning(
    `The transaction is committed, but an afterCommit callback failed: ${reason}`,
    'ByReferenceWarning',
  );
}
