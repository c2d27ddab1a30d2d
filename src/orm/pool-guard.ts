import type { EntityManager, EventSubscriber, MikroORM, TransactionEventArgs } from '@mikro-orm/core';
import { isPostgres } from './platform.ts';
import { subscribe } from './subscribers.ts';

/** The part of `pg.Client` that is used here. */
interface Client {
  query(...args: unknown[]): unknown;
  release(error?: unknown): void;
  once(event: 'end', listener: () => void): unknown;
  off(event: 'end', listener: () => void): unknown;
}

/** The part of `pg.Pool` that is used here. */
interface Pool {
  connect(callback?: unknown): Promise<Client> | undefined;
}

/** Of MikroORM 7; the pool of MikroORM 6 needs no guard. */
interface Connection {
  getNativeClient?(): Promise<unknown>;
  begin(...args: unknown[]): Promise<unknown>;
}

/** Also by another copy of this package. */
const GUARDED = Symbol.for('mikro-orm-byref.guarded');

/**
 * Has connections that are lost inside a transaction give their place in the pool back. Kysely up to 0.29.6, which
 * MikroORM 7 pins, does that only after a COMMIT or ROLLBACK that succeeds: a few cuts, and every transaction waits for
 * good (https://github.com/kysely-org/kysely/issues/1990). With a Kysely that does it nothing changes.
 */
export function guardPools({ orms }: { readonly orms: readonly MikroORM[] }): void {
  for (const orm of orms) {
    const subscribers = [...orm.em.getEventManager().getSubscribers()];
    if (!subscribers.some((subscriber) => subscriber instanceof PoolGuard)) subscribe(orm, new PoolGuard());
  }
}

/** A transaction that begins is the first to tell what the pool is, and each reconnection makes a new one. */
class PoolGuard implements EventSubscriber {
  async beforeTransactionStart({ em, transaction }: TransactionEventArgs): Promise<void> {
    if (transaction === undefined) await guardPoolOf(em);
  }
}

async function guardPoolOf(em: EntityManager): Promise<void> {
  const connection = em.getConnection('write') as unknown as Connection;
  if (connection.getNativeClient === undefined || !isPostgres(em.getPlatform())) return;
  let pool: unknown;
  try {
    pool = await connection.getNativeClient();
  } catch (error) {
    // A database that can't be reached says so with a code, and BEGIN will say it again.
    if ((error as { code?: unknown }).code !== undefined) return;
  }
  if (isPool(pool)) guard(pool, () => (pool.connect = lending(pool)));
  // The application's own Kysely: its pool is out of reach.
  else if (pool === undefined) guard(connection, () => (connection.begin = telling(connection)));
}

const isPool = (pool: unknown): pool is Pool => 'totalCount' in Object(pool) && 'connect' in Object(pool);

function guard(target: object, install: () => unknown): void {
  if (Object.hasOwn(target, GUARDED)) return;
  Reflect.defineProperty(target, GUARDED, { value: true });
  install();
}

function lending(pool: Pool): Pool['connect'] {
  const { connect } = pool;
  // Kysely's is the form without a callback.
  return (callback) => (callback === undefined ? connect.call(pool)?.then(lent) : connect.call(pool, callback));
}

/** The client of one checkout, which is given back once: by whoever has it, or as soon as it is of no use to them. */
function lent(client: Client): Client {
  const { release } = client;
  const query = Object.getOwnPropertyDescriptor(client, 'query');
  let isOut = true;
  const own = (error?: unknown): void => {
    if (!isOut) return;
    isOut = false;
    client.off('end', lost);
    if (client.query !== watching) return release(error);
    if (query === undefined) delete (client as Partial<Client>).query;
    else Object.defineProperty(client, 'query', query);
    release(error);
  };
  const lost = (): void => own(true);
  const send = client.query;
  const watching = (...args: unknown[]): unknown => {
    const result = send.apply(client, args);
    // After these nobody asks for it again; whether a transaction is open in it is not known.
    if (result instanceof Promise && /^(begin|start transaction|rollback$)/i.test(String(args[0]))) {
      result.catch(lost);
    }
    return result;
  };
  client.query = watching;
  client.once('end', lost);
  client.release = own;
  return client;
}

/** Longer than a transaction waits for a connection where all is well, in milliseconds. */
const STARVED_MS = 30_000;

function telling(connection: Connection): Connection['begin'] {
  const { begin } = connection;
  return async (...args) => {
    const timer = setTimeout(tell, STARVED_MS).unref();
    try {
      return await begin.apply(connection, args);
    } finally {
      clearTimeout(timer);
    }
  };
}

function tell(): void {
  process.emitWarning(
    `A transaction has waited for ${STARVED_MS / 1_000} seconds for a connection of the pool. If connections were lost inside transactions, Kysely up to 0.29.6 has kept their places: take Kysely 0.29.9 by "overrides" in package.json, and restart this process.`,
    { type: 'ByReferenceWarning', code: 'BYREF_STARVED_POOL' },
  );
}
