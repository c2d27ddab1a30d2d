import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { expect } from '@jest/globals';
import type { MikroORM } from '@mikro-orm/postgresql';
import { collectStatements, createOrm, type TestOrm } from '../../fixtures/orm.ts';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import { driver } from './driver.ts';

type Entities = Parameters<typeof createOrm>[2];
type Settings = NonNullable<Parameters<typeof createOrm>[3]>;

/** An ORM on a database that belongs to the calling test file alone, by default of the driver that the tests run on. */
export function openDatabase(entities: Entities, options: Settings = {}, on = driver): Promise<TestOrm> {
  return OPEN[on](entities, options);
}

const OPEN = {
  postgresql(entities: Entities, options: Settings): Promise<TestOrm> {
    const file = expect.getState().testPath ?? '';
    const name = `byref_${createHash('sha256').update(`${process.pid} ${file} ${Math.random()}`).digest('hex').slice(0, 16)}`;
    return createOrm(process.env['TEST_DATABASE_URL']!, name, entities, options);
  },
  async pglite(entities: Entities, options: Settings): Promise<TestOrm> {
    const { MikroORM: Orm } = await import('@mikro-orm/pglite');
    const template = await openAsBlob(process.env['TEST_PGLITE_TEMPLATE']!);
    // A function, because MikroORM copies an object deeply.
    const driverOptions = () => ({ loadDataDir: template });
    return inMemory(Orm as never, { ...options, entities, dbName: 'memory://', driverOptions });
  },
  async sqlite(entities: Entities, options: Settings): Promise<TestOrm> {
    const { MikroORM: Orm } = await import('@mikro-orm/sqlite');
    return inMemory(Orm as never, { ...options, entities, dbName: ':memory:' });
  },
} as const;

/** Gone when it is closed. */
async function inMemory(Orm: typeof MikroORM, options: object): Promise<TestOrm> {
  const { statements, ...logging } = collectStatements();
  const orm = makeOrm({ ...logging, ...options }, Orm);
  await schemaOf(orm).refresh();
  statements.length = 0;
  return { orm, url: `${driver}:memory`, statements, close: () => orm.close(true) };
}
