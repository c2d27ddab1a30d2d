/** An uncontended lock on a warm connection, against the two round trips that it can't do without. */
import type { EntitySerializer } from 'mikro-orm-byref';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { Client } from 'pg';
import type { MikroORM } from '@mikro-orm/core';
import { User } from '../fixtures/domain.ts';
import { race, type Race } from './measure.ts';

export interface LockRaces {
  /** `lock` against `floor`, which is two round trips, and against its own `statements`, sent without it. */
  readonly uncontended: Race;
  /** Statements that a lock sends. */
  readonly statements: number;
}

export async function benchLocks(serializer: EntitySerializer, orm: MikroORM, url: string): Promise<LockRaces> {
  const user = orm.em.fork().getReference(User, 1);
  const bare = new Client({ connectionString: url });
  await bare.connect();
  const used = new Client({ connectionString: url });
  const locks = new Locks(serializer, postgresLocks(orm, { connection: () => used }));
  try {
    const floor = async (): Promise<void> => {
      await bare.query('select 1');
      await bare.query('select 1');
    };
    const lock = (): Promise<void> => locks.run(user, () => undefined);
    const sent = await statementsOf(used, lock);
    const statements = async (): Promise<void> => {
      for (const sql of sent) await bare.query(sql);
    };
    const contenders = [
      { name: 'floor', run: floor },
      { name: 'statements', run: statements },
      { name: 'lock', run: lock },
    ];
    return { uncontended: await race(contenders, 100), statements: sent.length };
  } finally {
    await locks.close();
    await bare.end();
  }
}

/** What the client sends while `run` runs for the second time: the first opens the session. */
async function statementsOf(client: Client, run: () => Promise<void>): Promise<readonly string[]> {
  await run();
  const query = client.query.bind(client) as (text: string) => unknown;
  const sent: string[] = [];
  Object.assign(client, {
    query: (text: string) => {
      sent.push(text);
      return query(text);
    },
  });
  await run();
  Object.assign(client, { query });
  return sent;
}
