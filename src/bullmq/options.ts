import type { ConnectionOptions } from 'bullmq';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { ADAPTER_CHECKS, type AdapterOptions } from '../tasks/adapter-options.ts';
import { InFlight } from './in-flight.ts';
import { JobCodec } from './job-codec.ts';
import { isPool, type PoolLike, TransactionPool } from './transaction-pool.ts';

/** BullMQ's options, with a `pg.Pool` for a connection on its PostgreSQL backend. */
export type BullMqOptions<Options extends object> = Omit<Options, 'connection'> & {
  readonly connection?: ConnectionOptions | PoolLike;
};

/** What the classes take beside BullMQ's own options. */
export interface ByReferenceOptions extends AdapterOptions {
  readonly serializer: EntitySerializer;
}

/** How jobs are written, and where. */
export interface Writing {
  readonly codec: JobCodec;
  /** On BullMQ's PostgreSQL backend. */
  readonly pool: TransactionPool | undefined;
  /** Jobs whose transaction has committed, on their way to Redis. */
  readonly sending: InFlight;
}

/** The options of a class, taken apart. */
export interface Settled<Options> extends Writing {
  /** BullMQ's own. */
  readonly options: Options;
}

export function settle<Options extends object>(given: BullMqOptions<Options> & ByReferenceOptions): Settled<Options> {
  const { serializer } = given;
  if (typeof (serializer as Partial<EntitySerializer> | undefined)?.encode !== 'function') {
    throw ByReferenceError.invalidOption('option serializer', 'an EntitySerializer', serializer);
  }
  const isOurs = (name: string): boolean => Object.hasOwn(ADAPTER_CHECKS, name);
  const entries = Object.entries(given).filter(([name]) => name !== 'serializer');
  const adapter = Object.fromEntries(entries.filter(([name]) => isOurs(name)));
  const options = Object.fromEntries(entries.filter(([name]) => !isOurs(name)));
  const { connection } = options;
  const pool = isPool(connection) ? new TransactionPool(connection) : undefined;
  return {
    codec: new JobCodec(serializer, adapter),
    pool,
    sending: new InFlight(),
    options: (pool === undefined ? options : { ...options, connection: pool.connection }) as Options,
  };
}
