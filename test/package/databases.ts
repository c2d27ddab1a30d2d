import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { startPostgres } from '../../fixtures/postgres.ts';

/** Programs run with this environment; databases whose names end with the suffix are dropped in the end. */
export interface Databases {
  readonly suffix: string;
  readonly env: NodeJS.ProcessEnv;
}

export async function withDatabases(work: (databases: Databases) => Promise<void>): Promise<void> {
  const suffix = randomBytes(4).toString('hex');
  const server = await startPostgres();
  try {
    await work({ suffix, env: { ...process.env, DATABASE_URL: server.url } });
  } finally {
    await dropDatabases(server.url, suffix);
    await server.stop();
  }
}

export async function dropDatabases(url: string, suffix: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<{ name: string }>(
    `select datname as name from pg_database where datname like 'byref\\_%\\_${suffix}'`,
  );
  for (const { name } of rows) await client.query(`drop database "${name}" with (force)`);
  await client.end();
}
