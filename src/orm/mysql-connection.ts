import type { MikroORM } from '@mikro-orm/core';
import { isMysql } from './platform.ts';

/** The part of a connection that is used here: mysql2's, and of MikroORM 6 on MariaDB that of `mariadb/callback`. */
export interface MysqlConnection {
  query(sql: string, done: (error: Error | null, rows: unknown) => void): unknown;
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown;
  destroy(): void;
  /** The socket, which mysql2 shows. */
  readonly stream?: { ref?(): void; unref?(): void };
}

/** `mysql2.Pool`, which MikroORM 7 has. */
interface MysqlPool {
  readonly config: MysqlPoolConfig;
  readonly constructor: new (options: { config: MysqlPoolConfig }) => MysqlPool;
  getConnection(done: (error: Error | null, connection: MysqlConnection) => void): void;
}

interface MysqlPoolConfig {
  readonly connectionConfig: object;
}

interface SqlConnection {
  getNativeClient?(): Promise<unknown>;
  /** Of MikroORM 6. */
  getKnex?(): { readonly client: { acquireRawConnection(): Promise<MysqlConnection> } };
}

/**
 * A connection of its own with MikroORM's settings, that is in no pool of the application's; undefined for another
 * database.
 */
export async function openMysqlConnection(orm: MikroORM): Promise<MysqlConnection | undefined> {
  if (!isMysql(orm.em.getPlatform())) return undefined;
  const connection: SqlConnection = orm.em.getDriver().getConnection('write');
  if (connection.getKnex !== undefined) return connection.getKnex().client.acquireRawConnection();
  const { constructor: Pool, config } = (await connection.getNativeClient!()) as MysqlPool;
  // A copy: a pool notes itself in it.
  const connectionConfig = Object.assign(
    Object.create(Object.getPrototypeOf(config.connectionConfig) as object) as object,
    config.connectionConfig,
  );
  const own = new Pool({ config: { ...config, connectionConfig, connectionLimit: 1, maxIdle: 1 } as MysqlPoolConfig });
  return new Promise((resolve, reject) => {
    own.getConnection((error, opened) => (error === null || error === undefined ? resolve(opened) : reject(error)));
  });
}
