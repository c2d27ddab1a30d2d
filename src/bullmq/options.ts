import type { ConnectionOptions } from 'bullmq';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ADAPTER_CHECKS, type AdapterOptions } from '../tasks/adapter-options.ts';
import { JobCodec } from './job-codec.ts';
import { isPool, type PoolLike, TransactionPool } from './transaction-pool.ts';

/** BullMQ's options, with a `pg.Pool` for a connection on its PostgreSQL backend. */
export type BullMqOptions<Options extends object> = Omit<Options, 'connection'> & {
  /** Options or a client of Redis, or a `pg.Pool` on the PostgreSQL backend. */
  readonly connection?: ConnectionOptions | PoolLike;
};

/** What the classes take beside BullMQ's own options. */
export interface WithSerializer extends AdapterOptions {
  /** What writes and reads the data of jobs. */
  readonly serializer: EntitySerializer;
}

/** How jobs are written, and where. */
export interface Writing {
  readonly codec: JobCodec;
  /** On BullMQ's PostgreSQL backend, to have jobs join transactions. Without one they follow after the commit. */
  readonly pool?: TransactionPool;
}

/** The options of a class, taken apart: BullMQ's own, and what is ours. */
export function split<Options extends object>(
  given: BullMqOptions<Options> & WithSerializer,
): { readonly bullmq: Options; readonly writing: Writing } {
  const { serializer } = given;
  const isOurs = (name: string): boolean => Object.hasOwn(ADAPTER_CHECKS, name);
  const entries = Object.entries(given).filter(([name]) => name !== 'serializer');
  const codec = new JobCodec(serializer, Object.fromEntries(entries.filter(([name]) => isOurs(name))));
  const bullmq = Object.fromEntries(entries.filter(([name]) => !isOurs(name))) as Options & BullMqOptions<Options>;
  if (!isPool(bullmq.connection)) return { bullmq, writing: { codec } };
  const pool = new TransactionPool(bullmq.connection);
  return { bullmq: { ...bullmq, connection: pool.connection }, writing: { codec, pool } };
}
