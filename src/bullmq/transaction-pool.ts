import type { EntityManager } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ByReferenceError } from '../errors.ts';
import { once } from '../once.ts';
import { executeInTransaction, transactionOf } from '../orm/transaction.ts';
import { SameDatabase } from '../tasks/same-database.ts';
import { isAway, STORE_AWAY_MS } from './store-away.ts';

/** The part of a `pg.Pool` that is used here; BullMQ takes one as the connection of its PostgreSQL backend. */
export interface PoolLike {
  /** Runs one statement on any of its connections. */
  query(text: string, values?: unknown[]): Promise<{ rows: object[] }>;
  /** Takes a connection out of the pool. */
  connect(): Promise<object>;
  /** Closes all connections. */
  end(): Promise<void>;
  /** What it was made with: `max` is how many connections it opens. */
  readonly options?: { readonly max?: number };
}

export function isPool(connection: unknown): connection is PoolLike {
  const pool = connection as Partial<PoolLike> | null | undefined;
  return [pool?.query, pool?.connect, pool?.end].every((method) => typeof method === 'function');
}

/** What errors call it. */
export const ENGINE = 'BullMQ on PostgreSQL';

/** Lets BullMQ's statements join a transaction of MikroORM. */
export class TransactionPool {
  /** The given pool, but for what runs inside `run()`. */
  readonly connection: PoolLike;
  readonly database: SameDatabase;
  readonly #pool: PoolLike;
  readonly #current = new AsyncLocalStorage<EntityManager>();
  /** BullMQ keeps the failure of its first look for good, and then asks again without a pause. */
  #isWaiting = true;
  readonly #ownSchema = once(() => this.#askOwnSchema());

  constructor(pool: PoolLike) {
    this.#pool = pool;
    this.database = new SameDatabase(ENGINE, async (sql) => (await pool.query(sql)).rows);
    // Each queue and worker of BullMQ listens to its errors.
    if (pool instanceof EventEmitter) pool.setMaxListeners(0);
    const query = (text: string, values?: unknown[]): Promise<{ rows: object[] }> => this.#query(text, values);
    const connect = (): Promise<object> => this.#connect();
    this.connection = new Proxy(pool, {
      get(target, name) {
        if (name === 'query') return query;
        if (name === 'connect') return connect;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Runs BullMQ's calls in the transaction of an EntityManager. Throws E_UNSUPPORTED where that is of another database. */
  async run<T>(em: EntityManager, fn: () => Promise<T>): Promise<T> {
    await this.database.require(em);
    return this.#current.run(em, fn);
  }

  /** Rejects at once where the server is away. */
  async reach(): Promise<void> {
    await this.#pool.query('select 1');
  }

  /** Waits no longer for a server that is away. */
  giveUp(): void {
    this.#isWaiting = false;
  }

  /** Until the server was there once, waits for it. */
  async #connect(): Promise<object> {
    for (;;) {
      try {
        const client = await this.#pool.connect();
        this.#isWaiting = false;
        return client;
      } catch (error) {
        if (!isAway(error)) throw error;
        await sleep(STORE_AWAY_MS);
        if (!this.#isWaiting) throw error;
      }
    }
  }

  async #query(text: string, values: unknown[] | undefined): Promise<{ rows: object[] }> {
    const em = this.#current.getStore();
    if (em === undefined || transactionOf(em) === undefined) {
      return this.#pool.query(text, values).catch(async (error: unknown) => {
        if (isAway(error)) await sleep(STORE_AWAY_MS);
        throw error;
      });
    }
    return { rows: await executeInTransaction(em, qualified(text, await this.#ownSchema()), values) };
  }

  async #askOwnSchema(): Promise<string> {
    const { rows } = await this.#pool.query('select quote_ident(current_schema()) as own');
    return (rows[0] as { own: string }).own;
  }
}

/**
 * `SELECT add_job(…)`, `SELECT id FROM add_flow(…)`, `SELECT state FROM job WHERE …`: the one name in a statement of
 * BullMQ that adds, completes or removes jobs.
 */
const NAME = /\b(?:select|from)\s+(?=[a-z_]+\()|\bfrom\s+(?=job\s+where\b)/i;

/**
 * BullMQ leaves the schema to the search path. That of the transaction is the application's, whose queries may run at
 * the same time; inside its functions BullMQ sets its own.
 */
function qualified(text: string, schema: string): string {
  if (!NAME.test(text)) {
    throw ByReferenceError.unsupported('This call of BullMQ inside a transaction', 'make it in afterCommit()');
  }
  return text.replace(NAME, (before) => `${before}${schema}.`);
}
