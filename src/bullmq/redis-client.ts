import type { Queue } from 'bullmq';

/** The part of a client of Redis that is used here. */
export interface RedisClient {
  scanStream(options: { match: string; count: number }): AsyncIterable<readonly string[]>;
  info(section: string): Promise<string>;
  /** The number of its database; a cluster has but one. */
  readonly options?: { readonly db?: number };
  get(key: string): Promise<string | null>;
  set(key: string, value: string, unit: 'EX', seconds: number): Promise<unknown>;
}

/** BullMQ 6 has it behind what is not PostgreSQL, BullMQ 5 at hand. */
export function clientOf(queue: Queue): Promise<RedisClient> {
  const { client, getBackend } = queue as unknown as { client?: Promise<RedisClient>; getBackend?(): unknown };
  return client ?? (getBackend!.call(queue) as { readonly client: Promise<RedisClient> }).client;
}
