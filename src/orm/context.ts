import { type EntityManager, type MikroORM, RequestContext, TransactionContext } from '@mikro-orm/core';
import { isFunction, isObject } from '../check.ts';
import { forkToJoin } from './joined-transaction.ts';

export const isEntityManager = (value: unknown): value is EntityManager =>
  isObject(value) && isFunction((value as Partial<EntityManager>).getContext);

/** True where every query goes past the identity map. */
export const disablesIdentityMap = ({ config }: MikroORM): boolean => config.get('disableIdentityMap') === true;

/** Whether a call through `em` reaches the ORM's own EntityManager, which no request or transaction stands for. */
export const isGlobal = (em: EntityManager): boolean => em.getContext(false).global;

/** The EntityManager that a call through `em` reaches: the transaction's or the request's; outside both MikroORM refuses the global one. */
export const contextOf = (em: EntityManager): EntityManager => em.getContext();

/** The same; where MikroORM refuses the global one, what `refusal` makes of that is thrown. */
export function contextOr(em: EntityManager, refusal: (cause: unknown) => Error): EntityManager {
  try {
    return contextOf(em);
  } catch (cause) {
    throw isGlobal(em) ? refusal(cause) : cause;
  }
}

/** Runs `fn` where the global EntityManager resolves to `em`, not to the transaction that has just ended. */
export const runInContext = <T>(em: EntityManager, fn: () => T): T => TransactionContext.create(em, fn);

const EXTENSION = 'mikro-orm-byref';

/** Puts an object where every EntityManager of the ORM finds it; the first one stays. */
export function registerExtension(orm: MikroORM, extension: object): void {
  if (getExtension(orm.em) === undefined) orm.config.registerExtension(EXTENSION, () => extension as never);
}

export const getExtension = (em: EntityManager): object | undefined =>
  em.config.getExtension(EXTENSION) as object | undefined;

/** The EntityManager of the transaction or request around the call; undefined where there is none. */
export function ambientContext(em: EntityManager): EntityManager | undefined {
  const context = em.getContext(false);
  return context === em ? undefined : context;
}

/** An EntityManager that has read nothing yet, with the schema and the filters of another one, and its transaction. */
export function freshFork(em: EntityManager, { inTransaction }: { readonly inTransaction: boolean }): EntityManager {
  const { schema } = em;
  return em.fork({ keepTransactionContext: inTransaction, ...(schema !== undefined && { schema }) });
}

/** An EntityManager of the ORM's own schema, whatever runs around the call; in a transaction where one is given. */
export function ownFork({ em }: MikroORM, transaction?: object): EntityManager {
  const fork = em.fork({ disableContextResolution: true });
  if (transaction !== undefined) fork.setTransactionContext(transaction);
  return fork;
}

/**
 * Gives `fn` an EntityManager of its own for each ORM, to which the global ones resolve meanwhile: for a job, what a
 * request has. It is told the first. A transaction around the call is left, which would go before the request.
 */
export const runInRequest = <T>(globals: readonly EntityManager[], fn: (em: EntityManager) => Promise<T>): Promise<T> =>
  RequestContext.create([...globals], () => {
    const managers = globals.map(({ name }) => RequestContext.getEntityManager(name)!);
    const em = forkToJoin(managers[0]!) ?? managers[0]!;
    return TransactionContext.create(em, async () => {
      try {
        return await fn(em);
      } finally {
        for (const manager of [em, ...managers]) manager.clear();
      }
    });
  });

/**
 * The same for what may go on when `fn` has ended: nothing is cleared. The EntityManagers have the filters of `bases`,
 * one for each ORM, and the schema of the first, which it is told.
 */
export function runInNewRequest<T>(bases: readonly EntityManager[], fn: (em: EntityManager) => Promise<T>): Promise<T> {
  const { name, schema } = bases[0]!;
  const run = (): Promise<T> => {
    const em = RequestContext.getEntityManager(name)!;
    return TransactionContext.create(em, () => fn(em));
  };
  return RequestContext.create([...bases], run, schema === undefined ? {} : { schema });
}

/** The EntityManagers that a request's are forked from, the first ORM's first. */
export const globalManagers = ({ orms }: { readonly orms: readonly MikroORM[] }): readonly EntityManager[] =>
  orms.map(({ em }) => em);

export const isOf = (em: EntityManager, orm: MikroORM): boolean => em.config === orm.config;
