import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { MikroORM } from '@mikro-orm/postgresql';
import { LockFactory } from '@verrou/core';
import { redisStore } from '@verrou/core/drivers/redis';
import { Redis } from 'ioredis';
import { type LockProvider, mysqlLocks, postgresLocks, verrouLocks } from 'mikro-orm-byref/locks';
import { tableStore } from './table-store.ts';

/** Short, because a test waits for it when a process has died; long, because a busy machine makes timers late. */
const LEASE = { leaseMs: 3_000, pollMs: 30 };

export interface LockStore {
  readonly hasTokens?: boolean;
  provider(): LockProvider;
  loseLocks(): Promise<void>;
  close(): Promise<void>;
}

/** The stores that processes share, by name. */
export const lockStores: Record<string, (orm: MikroORM) => Promise<LockStore>> = {
  async postgres(orm) {
    const run = (sql: string): Promise<unknown> => orm.em.fork().getConnection().execute(sql);
    const holders =
      "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
    return {
      provider: () => postgresLocks(orm),
      loseLocks: async () => void (await run(holders)),
      close: async () => {},
    };
  },

  async 'postgres with tokens'(orm) {
    const store = await lockStores['postgres']!(orm);
    await orm.em.fork().getConnection().execute('create sequence if not exists lock_tokens');
    return { ...store, hasTokens: true, provider: () => postgresLocks(orm, { tokenSequence: 'lock_tokens' }) };
  },

  async mysql(orm) {
    const run = (sql: string): Promise<unknown> => orm.em.fork().getConnection().execute(sql);
    // Of GET_LOCK nobody says who has it: all sessions of the database but this one are ended.
    const others = 'select id from information_schema.processlist where db = database() and id <> connection_id()';
    return {
      provider: () => mysqlLocks(orm),
      loseLocks: async () => {
        for (const { id } of (await run(others)) as { id: number }[]) await run(`kill ${id}`).catch(() => undefined);
      },
      close: async () => {},
    };
  },

  async redis() {
    const connection = new Redis(process.env['TEST_REDIS_URL']!);
    const factory = new LockFactory(redisStore({ connection }).factory());
    return {
      provider: () => verrouLocks(factory, LEASE),
      loseLocks: async () => {
        const keys = await connection.keys('mikro-orm-byref:*');
        if (keys.length > 0) await connection.del(...keys);
      },
      close: async () => void connection.disconnect(),
    };
  },

  async table(orm) {
    const factory = new LockFactory(tableStore(orm).factory());
    return {
      provider: () => verrouLocks(factory, LEASE),
      loseLocks: async () => void (await orm.em.fork().getConnection().execute('delete from verrou')),
      close: async () => {},
    };
  },
};

/** Runs the built package, as processes of an application do. */
export const forkLockWorker = (kind: string, databaseUrl: string): ChildProcess =>
  fork(fileURLToPath(new URL('lock-worker.ts', import.meta.url)), [kind, databaseUrl], { execArgv: [] });
