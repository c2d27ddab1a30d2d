/** A relay on PostgreSQL is woken by the commit, on a session of its own that is made again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { type OutboxErrorReport, OutboxMessage } from 'mikro-orm-byref/outbox';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { Mailbox, Relays } from '../support/outbox.ts';
import { soon } from '../support/soon.ts';

let database: TestOrm;
let relays: Relays;
let reports: OutboxErrorReport[];
let box: Mailbox;

beforeAll(async () => {
  database = await openDatabase([...domain, OutboxMessage] as never);
});
afterAll(() => database.close());
beforeEach(async () => {
  [relays, reports] = [new Relays(), []];
  box = new Mailbox(new EntitySerializer(database.orm), { onError: (report) => void reports.push(report) });
  // It would find nothing by itself while a test runs.
  relays.start(box.outbox, { pollMs: 600_000 });
  await soon(async () => (await listeners()).length === 1);
});
afterEach(() => relays.stop());

/** The sessions that listen, by their process ids. */
async function listeners(): Promise<number[]> {
  const sql = `select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'`;
  return (await database.orm.em.fork().execute<{ pid: number }[]>(sql)).map(({ pid }) => pid);
}

test('each commit wakes it, and nothing else does; one announcement a transaction', async () => {
  await database.orm.em.fork().transactional(async (em) => {
    database.statements.length = 0;
    await box.outbox.add('a', {}, { em });
    await box.outbox.add('b', {}, { em });
    expect(database.statements.filter((sql) => sql.startsWith('insert'))).toHaveLength(2);
    await sleep(100);
    expect(box.topics).toEqual([]);
  });
  await soon(() => box.topics.length === 2);
  await box.outbox.add('outside', {});
  await soon(() => box.topics.length === 3);
});

test('a savepoint that rolls back takes its announcement along, and that of what comes after it stands', async () => {
  await database.orm.em.fork().transactional(async (em) => {
    const inner = em.transactional(async (own) => {
      await box.outbox.add('inner', {}, { em: own });
      throw new Error('on purpose');
    });
    await expect(inner).rejects.toThrow('on purpose');
    await box.outbox.add('outer', {}, { em });
  });
  await soon(() => box.topics.length === 1);
  expect(box.topics).toEqual(['outer']);
});

test('a session that is lost is told of and made again, and what came meanwhile is found', async () => {
  const [pid] = await listeners();
  await database.orm.em.fork().execute(`select pg_terminate_backend(${pid})`);
  await soon(() => reports.length > 0);
  await box.outbox.add('meanwhile', {});
  await soon(() => box.topics.length === 1);
  await box.outbox.add('afterwards', {});
  await soon(() => box.topics.length === 2);
  expect(reports).toMatchObject([{ messages: [], final: false }]);
});

test('it is closed with the relay', async () => {
  await relays.stop();
  await soon(async () => (await listeners()).length === 0);
  expect(reports).toEqual([]);
});
