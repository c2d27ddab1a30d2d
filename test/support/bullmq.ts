import * as bullmq from 'bullmq';
import { Pool } from 'pg';
import type { BullMqEngineOptions } from 'mikro-orm-byref/bullmq';
import { driver, type Need } from './driver.ts';

/** What BullMQ stores its jobs in. */
export interface Store {
  readonly connection: BullMqEngineOptions['connection'];
  /** The last argument of BullMQ's classes. */
  readonly backend: [] | [typeof bullmq.createPostgresBackend];
  close(): Promise<void>;
}

export interface StoreKind {
  readonly name: 'Redis' | 'PostgreSQL';
  readonly needs: readonly Need[];
  /** On PostgreSQL, in the database of this URL. */
  open(databaseUrl: string): Promise<Store>;
}

/** The stores of the BullMQ at hand. */
export function storeKinds(): readonly StoreKind[] {
  const kinds: StoreKind[] = [{ name: 'Redis', needs: ['redis-server'], open: redis }];
  // BullMQ 5 has Redis only, and other databases than PostgreSQL no server for it.
  if ('createPostgresBackend' in bullmq && driver === 'postgresql') {
    kinds.push({ name: 'PostgreSQL', needs: [], open: postgres });
  }
  return kinds;
}

const redis = async (): Promise<Store> => ({ connection: redisConnection(), backend: [], close: async () => {} });

/** To the Redis of the tests. */
export function redisConnection(): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(process.env['TEST_REDIS_URL']!);
  return { host: hostname, port: Number(port) };
}

async function postgres(databaseUrl: string): Promise<Store> {
  const pool = new Pool({ connectionString: databaseUrl, options: '-c search_path=bullmq' });
  pool.on('error', () => undefined);
  // Each queue and worker of BullMQ listens to its errors.
  pool.setMaxListeners(0);
  const client = await pool.connect();
  await bullmq.runMigrations(client as never, 'bullmq').finally(() => client.release());
  return { connection: pool, backend: [bullmq.createPostgresBackend], close: () => pool.end() };
}
