/** How transactions end on MySQL and MariaDB. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type EntityManager, EntitySchema } from '@mikro-orm/core';
import { afterCommit, EntitySerializer } from 'mikro-orm-byref';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { soon } from '../support/soon.ts';

class Seat {
  declare id: number;
  declare taken: string;
}
const SeatSchema = new EntitySchema<Seat>({
  class: Seat,
  properties: { id: { type: 'number', primary: true, autoincrement: false }, taken: { type: 'string' } },
});

let database: TestOrm;
let serializer: EntitySerializer;
let told: string[];

beforeAll(async () => {
  database = await openDatabase([SeatSchema]);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  told = [];
  const em = database.orm.em.fork();
  await em.nativeDelete(Seat, {});
  await em.insertMany(Seat, [
    { id: 1, taken: '' },
    { id: 2, taken: '' },
  ]);
});

async function take(em: EntityManager, id: number, by: string): Promise<void> {
  afterCommit(em, () => void told.push(`${by}: committed`), { onRollback: () => void told.push(`${by}: rolled back`) });
  await em.insert(Seat, { id, taken: by });
}

/** Another transaction has done more, so that this one is what the deadlock is resolved by. */
async function loseDeadlock(em: EntityManager): Promise<unknown> {
  const other = database.orm.em.fork();
  await other.begin();
  const many = Array.from({ length: 50 }, (_, index) => ({ id: 1_000 + index, taken: 'other' }));
  await other.insertMany(Seat, many);
  await em.nativeUpdate(Seat, { id: 1 }, { taken: 'mine' });
  await other.nativeUpdate(Seat, { id: 2 }, { taken: 'theirs' });
  const waiting = other.nativeUpdate(Seat, { id: 1 }, { taken: 'theirs' });
  const failed = em.nativeUpdate(Seat, { id: 2 }, { taken: 'mine' }).catch((error: unknown) => error);
  const error = await failed;
  await waiting;
  await other.rollback();
  return error;
}

/** Another transaction has changed a row since this one's snapshot, which MariaDB 11.8 minds by default. */
async function changeStale(em: EntityManager): Promise<unknown> {
  await em.find(Seat, {});
  for (const taken of ['theirs', '']) await database.orm.em.fork().nativeUpdate(Seat, { id: 1 }, { taken });
  const sql = `set statement innodb_snapshot_isolation = on for update seat set taken = 'mine' where id = 1`;
  const execution = em.getConnection().execute(sql, [], 'run', em.getTransactionContext());
  return execution.catch((error: unknown) => error);
}

const takenBy = async (): Promise<string[]> => {
  const seats = await database.orm.em.fork().find(Seat, { taken: { $ne: '' } }, { orderBy: { id: 'asc' } });
  return seats.map(({ taken }) => taken);
};

/** Statements that take their transaction along, by the code of their error. */
const losses: Record<string, (em: EntityManager) => Promise<unknown>> = {
  ER_LOCK_DEADLOCK: loseDeadlock,
  ...(driver === 'mariadb' && { ER_CHECKREAD: changeStale }),
};

type Loss = (typeof losses)[string];

const nestings: Record<string, (em: EntityManager, lose: Loss) => Promise<unknown>> = {
  'in the transaction itself': (em, lose) => lose(em),
  'in a savepoint': (em, lose) =>
    em
      .transactional(async (inner) => {
        await take(inner, 11, 'inner');
        throw await lose(inner);
      })
      .catch((error: unknown) => error),
};

const lost = Object.entries(losses).flatMap(([code, lose]) =>
  Object.entries(nestings).map(([where, nested]) => ({ code, lose, where, nested })),
);

test.each(lost)(
  '$code has rolled back all that was before it, where it was caught $where; what comes after is committed',
  async ({ code, lose, where, nested }) => {
    const tasks = new Tasks(serializer, inlineEngine());
    const task = tasks.define('seat', async () => undefined);
    const handle = await database.orm.em.fork().transactional(async (em) => {
      await take(em, 10, 'before');
      const job = await task.delay({}, { em });
      job.enqueued.catch(() => undefined);
      expect(await nested(em, lose)).toMatchObject({ code });
      await take(em, 12, 'after');
      return job;
    });
    await soon(() => told.includes('after: committed'));
    expect(await takenBy()).toEqual(['after']);
    expect(told.filter((line) => !line.startsWith('inner'))).toEqual(['before: rolled back', 'after: committed']);
    expect(told.filter((line) => line.startsWith('inner'))).toEqual(
      where === 'in a savepoint' ? ['inner: rolled back'] : [],
    );
    await expect(handle.enqueued).rejects.toMatchObject({ code: 'E_ROLLED_BACK' });
    await tasks.stop();
  },
);
