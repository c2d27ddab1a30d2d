import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { expect } from '@jest/globals';
import type { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
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
  postgresql: (entities: Entities, options: Settings): Promise<TestOrm> =>
    createOrm(process.env['TEST_DATABASE_URL']!, ownName(), entities, options),
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
  async mariadb(entities: Entities, options: Settings): Promise<TestOrm> {
    const { MikroORM: Orm } = await import('@mikro-orm/mariadb');
    return onMariadb(Orm as never, entities, options);
  },
  async mysql(entities: Entities, options: Settings): Promise<TestOrm> {
    const { MikroORM: Orm } = await import('@mikro-orm/mysql');
    return onMariadb(Orm as never, entities, options);
  },
} as const;

function ownName(): string {
  const file = expect.getState().testPath ?? '';
  return `byref_${createHash('sha256').update(`${process.pid} ${file} ${Math.random()}`).digest('hex').slice(0, 16)}`;
}

async function onMariadb(Orm: typeof MikroORM, entities: Entities, options: Settings): Promise<TestOrm> {
  const { statements, ...logging } = collectStatements();
  const name = ownName();
  const clientUrl = new URL(name, process.env['TEST_MARIADB_URL']).href;
  const kept = (entities as EntitySchema[]).filter((entity) => !isOfPostgres(entity));
  const orm = makeOrm(
    { clientUrl, entities: kept, discovery: { onMetadata: fitKeys }, ...logging, ...options } as never,
    Orm,
  );
  const schema = schemaOf(orm);
  await schema.ensureDatabase();
  readStandardSql(orm);
  await schema.refresh();
  statements.length = 0;
  const close = async (): Promise<void> => {
    await orm.em.getConnection().execute(`drop database if exists \`${name}\``);
    await orm.close(true);
  };
  return { orm, url: clientUrl, statements, close };
}

/** Gone when it is closed. */
async function inMemory(Orm: typeof MikroORM, options: object): Promise<TestOrm> {
  const { statements, ...logging } = collectStatements();
  const orm = makeOrm({ ...logging, ...options }, Orm);
  await schemaOf(orm).refresh();
  statements.length = 0;
  return { orm, url: `${driver}:memory`, statements, close: () => orm.close(true) };
}

/** Of a column type that PostgreSQL alone has. */
const isOfPostgres = ({ meta }: EntitySchema): boolean =>
  Object.values((meta?.properties ?? {}) as Record<string, { columnType?: string }>).some(({ columnType }) =>
    /^(timetz|timestamptz|inet|cidr|macaddr|varbit|name$|citext)/.test(columnType ?? ''),
  );

interface KeyProperty {
  readonly primary?: boolean;
  readonly type: unknown;
  columnTypes?: string[];
  autoincrement?: boolean;
}

/** It makes no key of a blob, nor counts decimals. */
function fitKeys({ properties }: { properties: Record<string, KeyProperty> }): void {
  for (const property of Object.values(properties).filter(({ primary }) => primary)) {
    if (property.columnTypes === undefined && ['uint8array', 'Buffer'].includes(String(property.type)))
      property.columnTypes = ['varbinary(255)'];
    if (['decimal', 'float'].includes(String(property.type))) property.autoincrement = false;
  }
}

/** What tests execute has names in double quotes, which MariaDB takes for text. */
function readStandardSql(orm: MikroORM): void {
  const connection = orm.em.getConnection();
  const { execute } = connection;
  const unquoted = (sql: unknown) =>
    typeof sql === 'string'
      ? sql
          .replace(/'(?:[^']|'')*'|"/g, (found) => (found === '"' ? '`' : found))
          .replace(/^insert (.*) on conflict do nothing$/s, 'insert ignore $1')
      : sql;
  connection.execute = ((sql: unknown, ...others: []) =>
    execute.call(connection, unquoted(sql) as string, ...others)) as typeof execute;
}
