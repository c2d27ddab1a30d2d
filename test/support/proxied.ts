import { setTimeout as sleep } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import { makeOrm } from '../../fixtures/majors.ts';
import { collectStatements, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from './database.ts';
import { openProxy, type PostgresProxy } from './postgres-proxy.ts';

/** A database, and ORMs that reach it through a proxy. */
export interface Proxied {
  readonly database: TestOrm;
  readonly proxy: PostgresProxy;
  /** An ORM with a pool of its own: lost connections stay in it. */
  openOrm(driverOptions?: object, settings?: object): MikroORM;
  /** Past the proxy. */
  execute<Row extends object>(sql: string): Promise<Row[]>;
  /** Those that are open. */
  closeOrms(): Promise<void>;
  close(): Promise<void>;
}

export async function openProxied(entities: Parameters<typeof openDatabase>[0]): Promise<Proxied> {
  const database = await openDatabase(entities);
  const proxy = await openProxy(database.url);
  const opened: MikroORM[] = [];
  // MikroORM 7 with its Kysely keeps the place of a lost connection in its pool, and waits for it for good.
  const closeOrms = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((orm) => Promise.race([orm.close(true), sleep(100)])));
  };
  return {
    database,
    proxy,
    openOrm(driverOptions = {}, settings = {}) {
      const { statements: _, ...logging } = collectStatements();
      const orm = makeOrm({ clientUrl: proxy.url, entities: entities!, driverOptions, ...logging, ...settings });
      opened.push(orm);
      return orm;
    },
    execute: <Row extends object>(sql: string) => database.orm.em.fork().getConnection().execute<Row[]>(sql),
    closeOrms,
    async close() {
      await closeOrms();
      await proxy.close();
      await database.close();
    },
  };
}
