import type { Execute } from './database.ts';

/** Quoted names: graphile-worker's schema, and the engine's own beside it. */
export interface Schemas {
  readonly worker: string;
  /** Holds what graphile-worker has no column for: how a job ended, and which job waits for a dedupe key. */
  readonly own: string;
}

export const schemasOf = (name: string): Schemas => ({ worker: quoted(name), own: quoted(`${name}_byref`) });

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Makes the engine's own tables; processes that start at once do it one after the other. */
export async function createTables(execute: Execute, schemas: Schemas): Promise<void> {
  await execute(`select pg_advisory_xact_lock(hashtext('mikro-orm-byref'))`);
  // A session remembers that a name was not there, through waiting for the lock, and would fail to make what another
  // has made meanwhile, "if not exists" or not. Reading from the catalogue's tables tells it.
  const [found] = await execute(
    `select exists (select from pg_tables where schemaname = (parse_ident(?))[1] and tablename = 'dedupe') as "isThere"`,
    schemas.own,
  );
  // A role that may not create schemas can still use one.
  if (found?.['isThere'] === true) return;
  await execute(`create schema if not exists ${schemas.own}`);
  await execute(`
    create table if not exists ${schemas.own}.finished (
      id text primary key, state text not null, attempt integer not null, output json, finished_at timestamptz not null
    )`);
  await execute(`create index if not exists finished_finished_at on ${schemas.own}.finished (finished_at)`);
  await execute(`
    create table if not exists ${schemas.own}.dedupe (
      key text primary key, job_key text not null, enqueued_at timestamptz not null default now()
    )`);
}
