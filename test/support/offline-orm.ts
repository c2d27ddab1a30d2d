import { MikroORM, type Options } from '@mikro-orm/postgresql';

/** An ORM with its metadata discovered and no database: MikroORM connects on first use. */
export const offlineOrm = (entities: Options['entities']): MikroORM =>
  new MikroORM({ entities, dbName: 'nowhere', host: '127.0.0.1', port: 1 } as Options);
