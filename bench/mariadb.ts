/** Reviving on MariaDB, against finds by hand there. */
import { MikroORM } from '@mikro-orm/mariadb';
import { EntitySerializer } from 'mikro-orm-byref';
import { domain } from '../fixtures/domain.ts';
import { makeOrm, schemaOf } from '../fixtures/majors.ts';
import { startMariadb } from '../fixtures/mariadb.ts';
import type { Race } from './measure.ts';
import { benchRevive, fill } from './references.ts';

interface MariadbRaces {
  /** Undefined where there is no server, and nothing is measured. */
  readonly version: string | undefined;
  readonly races: readonly { readonly size: number; readonly race: Race }[];
}

export async function benchMariadb(sizes: readonly { size: number; rounds: number }[]): Promise<MariadbRaces> {
  const server = await startMariadb();
  if (server === undefined) return { version: undefined, races: [] };
  const orm = makeOrm({ clientUrl: `${server.url}byref_bench`, entities: domain, debug: false }, MikroORM as never);
  try {
    await schemaOf(orm).ensureDatabase();
    await schemaOf(orm).refresh();
    await fill(orm.em.fork());
    const serializer = new EntitySerializer(orm);
    const races = [];
    for (const { size, rounds } of sizes) {
      races.push({ size, race: await benchRevive(serializer, orm.em, size, rounds) });
    }
    const [row] = await orm.em.execute<{ version: string }[]>('select version() as version');
    await orm.schema.dropDatabase();
    return { version: row!.version.split('-')[0], races };
  } finally {
    await orm.close(true);
    await server.stop();
  }
}
