import type { MikroORM } from '@mikro-orm/postgresql';
import type { DatabaseStore } from '@verrou/core/drivers/database';
import { knexStore } from '@verrou/core/drivers/knex';
import { kyselyStore } from '@verrou/core/drivers/kysely';

/** Verrou's store in the ORM's database, by Verrou's own adapter for what the MikroORM major at hand builds on. */
export function tableStore({ em }: MikroORM): { factory(): DatabaseStore } {
  const { getKysely, getKnex } = em as unknown as { getKysely?(): never; getKnex?(): never };
  const connection = getKysely === undefined ? getKnex!.call(em) : getKysely.call(em);
  return getKysely === undefined ? knexStore({ connection }) : kyselyStore({ connection });
}
