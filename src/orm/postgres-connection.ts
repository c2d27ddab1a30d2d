import type { MikroORM } from '@mikro-orm/core';

/** How MikroORM connects to PostgreSQL for writing: with the class of its copy of pg, and these settings. */
export interface PostgresConnection {
  readonly Client: new (settings: object) => unknown;
  readonly settings: object;
}

/** `pg.Pool`, which MikroORM 7 has. */
interface PgPool {
  readonly Client: PostgresConnection['Client'];
  readonly options: Settings;
}

/** Knex's client, which MikroORM 6 has. */
interface KnexClient {
  readonly driver: Partial<Pick<PostgresConnection, 'Client'>>;
  readonly connectionSettings?: Settings;
  /** Of settings that change, as those with a password that runs out. */
  readonly connectionConfigProvider?: () => Promise<Settings & { readonly expirationChecker?: unknown }>;
}

/** Its password is hidden from enumeration. */
type Settings = object & { readonly password?: unknown };

interface SqlConnection {
  getNativeClient?(): Promise<unknown>;
  getKnex?(): { readonly client: KnexClient };
}

/**
 * Undefined for another database, and where MikroORM does not hand it out: in older releases of MikroORM 7, and where
 * the application has passed a Kysely instance or dialect as `driverOptions`.
 */
export async function postgresConnectionOf(orm: MikroORM): Promise<PostgresConnection | undefined> {
  const connection: SqlConnection = orm.em.getDriver().getConnection('write');
  const pool =
    connection.getKnex === undefined ? await poolOf(connection) : await poolOfKnex(connection.getKnex().client);
  if (typeof pool?.Client !== 'function' || typeof pool.options !== 'object') return undefined;
  return { Client: pool.Client, settings: { ...pool.options, password: pool.options.password } };
}

async function poolOf(connection: SqlConnection): Promise<Partial<PgPool> | undefined> {
  try {
    return (await connection.getNativeClient?.()) as Partial<PgPool> | undefined;
  } catch (error) {
    // A database that can't be reached says so with a code.
    if ((error as { code?: unknown }).code !== undefined) throw error;
    return undefined;
  }
}

async function poolOfKnex(client: KnexClient): Promise<Partial<PgPool> | undefined> {
  const { Client } = client.driver;
  if (Client === undefined) return undefined;
  const options = await (client.connectionConfigProvider?.() ?? client.connectionSettings);
  return { Client, ...(options !== undefined && { options }) };
}
