import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { channel } from 'node:diagnostics_channel';
import { aFunction, type Check, check, isFunction } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { contextOr, isEntityManager, runInContext } from '../orm/context.ts';
import { reportOf } from '../orm/orm-error.ts';
import { subscribe } from '../orm/subscribers.ts';
import type { End } from '../orm/commit-error.ts';
import { openTransactionOf } from '../orm/transaction.ts';
import { notify } from '../notify.ts';
import { TransactionScopes } from './transaction-scopes.ts';

/** What runs after a commit; it gets an EntityManager of its own, because the transaction's has ended. */
export type CommitCallback = (em: EntityManager) => unknown;

/** Who is told when `fn` of `afterCommit` is not what runs, or fails. */
export interface AfterCommitOptions {
  /**
   * Told when `fn`, `onRollback` or `onUnknown` throws or rejects, and of an unknown end where there is no `onUnknown`.
   * The diagnostics channel `mikro-orm-byref:after-commit-error` hears of it too.
   * @defaultValue a process warning
   */
  readonly onError?: (error: unknown) => unknown;
  /**
   * Called when the transaction, or the savepoint of this call, rolls back.
   * @defaultValue none
   */
  readonly onRollback?: () => unknown;
  /**
   * Called when nobody can tell whether the transaction has committed, because the connection was lost when COMMIT was
   * sent: with E_COMMIT_UNKNOWN, whose `cause` is what COMMIT failed with.
   * @defaultValue it goes to `onError`
   */
  readonly onUnknown?: (error: ByReferenceError) => unknown;
}

interface Pending extends AfterCommitOptions {
  readonly em: EntityManager;
  readonly fn: CommitCallback;
}

const AFTER_COMMIT_CHECKS: Record<keyof AfterCommitOptions, Check> = {
  onError: aFunction,
  onRollback: aFunction,
  onUnknown: aFunction,
};

const errors = channel('mikro-orm-byref:after-commit-error');

/**
 * Runs `fn` once the outermost transaction of `em` has committed; at once, when there is no transaction. Else exactly
 * one of `onRollback` and `onUnknown` is called: a rollback is that of the transaction or of the savepoint of this
 * call. Nothing waits for any of them, and the failure of `fn` can't undo the commit: it goes to `onError`.
 * @throws E_INVALID_OPTION; also when no EntitySerializer was built for the ORM before the transaction began, and
 * outside a request and a transaction for the global EntityManager.
 */
export function afterCommit(em: EntityManager, fn: CommitCallback, options: AfterCommitOptions = {}): void {
  if (!isEntityManager(em)) throw ByReferenceError.invalidOption('em', 'an EntityManager', em);
  if (!isFunction(fn)) {
    throw ByReferenceError.invalidOption('fn', 'a function, which is called after the commit: () => send(mail)', fn);
  }
  check(options, AFTER_COMMIT_CHECKS, 'option ');
  const context = contextOr(em, noCommit);
  const pending: Pending = { ...options, em: context, fn };
  const transaction = openTransactionOf(context);
  if (transaction === undefined) {
    run(pending, fn);
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

function noCommit(cause: unknown): ByReferenceError {
  const advice = 'pass that of the transaction, em.transactional((tx) => afterCommit(tx, …))';
  return ByReferenceError.noEntityManager('whose commit could be waited for', advice, cause);
}

function listenerOf(em: EntityManager): CommitListener | undefined {
  for (const subscriber of em.getEventManager().getSubscribers()) {
    if (subscriber instanceof CommitListener) return subscriber;
  }
  return undefined;
}

/** Puts the listener on the ORM. */
export function listenToCommits(orm: MikroORM): void {
  if (listenerOf(orm.em) === undefined) subscribe(orm, new CommitListener());
}

class CommitListener extends TransactionScopes<Pending> {
  protected override async settled(list: readonly Pending[], end: End, cause: unknown): Promise<void> {
    for (const pending of list) run(pending, reactionTo(end, pending, cause));
  }
}

function reactionTo(end: End, { fn, onRollback, onUnknown }: Pending, cause: unknown): CommitCallback | undefined {
  if (end === 'committed') return fn;
  if (end === 'rolled back') return onRollback && (() => onRollback());
  const error = ByReferenceError.commitUnknown(cause);
  return () => {
    if (onUnknown === undefined) throw error;
    return onUnknown(error);
  };
}

/** Starts a callback outside the transaction's context and lets nothing of it reach the transaction. */
function run({ em, onError = warn }: Pending, callback: CommitCallback | undefined): void {
  if (callback === undefined) return;
  const own = em.fork();
  const settled = runInContext(own, async () => callback(own));
  settled.catch((error: unknown) => {
    errors.publish(error);
    notify(onError, error, warn);
  });
}

function warn(error: unknown): void {
  process.emitWarning(`An afterCommit callback failed, or could not be run: ${reportOf(error)}`, 'ByReferenceWarning');
}
