import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import type { EntityManager } from '@mikro-orm/core';
import { executeInTransaction, transactionOf } from '../orm.ts';

/** The part of a `pg.Pool` that is used here; BullMQ takes one as the connection of its PostgreSQL backend. */
export interface PoolLike {
  query(text: string, values?: unknown[]): Promise<{ rows: object[] }>;
  connect(): Promise<object>;
  end(): Promise<void>;
}

export function isPool(connection: unknown): connection is PoolLike {
  const pool = connection as Partial<PoolLike> | null | undefined;
  return [pool?.query, pool?.connect, pool?.end].every((method) => typeof method === 'function');
}

/** Lets BullMQ's statements join a transaction of MikroORM. */
export class TransactionPool {
  /** The given pool, but for what runs inside `run()`. */
  readonly connection: PoolLike;
  readonly #pool: PoolLike;
  readonly #current = new AsyncLocalStorage<EntityManager>();
  #searchPath: Promise<string> | undefined;

  constructor(pool: PoolLike) {
    this.#pool = pool;
    // Each queue and worker of BullMQ listens to its errors.
    if (pool instanceof EventEmitter) pool.setMaxListeners(0);
    const query = (text: string, values?: unknown[]): Promise<{ rows: object[] }> => this.#query(text, values);
    this.connection = new Proxy(pool, {
      get(target, name) {
        if (name === 'query') return query;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Runs BullMQ's calls in the transaction of an EntityManager. */
  run<T>(em: EntityManager, fn: () => Promise<T>): Promise<T> {
    return this.#current.run(em, fn);
  }

  async #query(text: string, values: unknown[] | undefined): Promise<{ rows: object[] }> {
    const em = this.#current.getStore();
    if (em === undefined || transactionOf(em) === undefined) return this.#pool.query(text, values);
    // BullMQ's names are unqualified, so it is its schema's turn for one statement.
    const own = await (this.#searchPath ??= this.#ask());
    const [{ before }] = (await executeInTransaction(
      em,
      "select current_setting('search_path') as before, set_config('search_path', $1, true)",
      [own],
    )) as [{ before: string }];
    const rows = await executeInTransaction(em, text, values);
    await executeInTransaction(em, "select set_config('search_path', $1, true)", [before]);
    return { rows };
  }

  async #ask(): Promise<string> {
    const { rows } = await this.#pool.query("select current_setting('search_path') as own");
    return (rows[0] as { own: string }).own;
  }
}
