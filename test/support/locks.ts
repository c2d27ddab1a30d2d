import { once } from 'node:events';
import { Client } from 'pg';

/** It may have come before anybody listens. */
export const abortOf = async (signal: AbortSignal): Promise<unknown> => signal.aborted || once(signal, 'abort');

/** A real client that tells what it sends. */
export function telling(onQuery: (sql: string) => void, connectionString: string): () => Client {
  return () => {
    const client = new Client({ connectionString });
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const tell = (sql: string, ...others: unknown[]): unknown => {
      onQuery(sql);
      return query(sql, ...others);
    };
    return Object.assign(client, { query: tell });
  };
}
