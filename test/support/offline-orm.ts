import type { MikroORM, Options } from '@mikro-orm/postgresql';
import { makeOrm } from '../../fixtures/majors.ts';

/** An ORM with its metadata discovered and no database: MikroORM connects on first use. */
export const offlineOrm = (entities: Options['entities']): MikroORM =>
  makeOrm({ entities, dbName: 'nowhere', host: '127.0.0.1', port: 1 } as Options);
