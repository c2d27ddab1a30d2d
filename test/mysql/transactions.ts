/** How transactions end on MySQL and MariaDB. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type EntityManager, EntitySchema } from '@mikro-orm/core';
import { afterCommit, EntitySerializer } from 'mikro-orm-byref';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
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

const takenBy = async (): Promise<string[]> => {
  const seats = await database.orm.em.fork().find(Seat, { taken: { $ne: '' } }, { orderBy: { id: 'asc' } });
  return seats.map(({ taken }) => taken);
};

const nestings: Record<string, (em: EntityManager) => Promise<unknown>> = {
  'in the transaction itself': loseDeadlock,
  'in a savepoint': (em) =>
    em
      .transactional(async (inner) => {
        await take(inner, 11, 'inner');
        throw await loseDeadlock(inner);
      })
      .catch((error: unknown) => error),
};

test.each(Object.entries(nestings))(
  'a deadlock has rolled back all that was before it, where its error was caught %s; what comes after is committed',
  async (_where, lose) => {
    const tasks = new Tasks(serializer, inlineEngine());
    const task = tasks.define('seat', async () => undefined);
    const handle = await database.orm.em.fork().transactional(async (em) => {
      await take(em, 10, 'before');
      const job = await task.delay({}, { em });
      job.enqueued.catch(() => undefined);
      expect(await lose(em)).toMatchObject({ code: 'ER_LOCK_DEADLOCK' });
      await take(em, 12, 'after');
      return job;
    });
    await soon(() => told.includes('after: committed'));
    expect(await takenBy()).toEqual(['after']);
    expect(told.filter((line) => !line.startsWith('inner'))).toEqual(['before: rolled back', 'after: committed']);
    expect(told.filter((line) => line.startsWith('inner'))).toEqual(
      lose === loseDeadlock ? [] : ['inner: rolled back'],
    );
    await expect(handle.enqueued).rejects.toMatchObject({ code: 'E_ROLLED_BACK' });
    await tasks.stop();
  },
);
