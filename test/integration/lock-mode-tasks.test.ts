import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { LockMode } from '@mikro-orm/core';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { queueName as name, until } from '../support/jobs.ts';

/** Rows that are locked while they are revived: the job holds them until its transaction ends. */
let database: TestOrm;
let boss: PgBoss;
let tasks: Tasks;
beforeAll(async () => {
  database = await openDatabase(domain);
  boss = await new PgBoss({ connectionString: database.url, supervise: false, schedule: false }).start();
});
afterAll(async () => {
  await boss.stop({ graceful: false });
  await database.close();
});
beforeEach(async () => {
  tasks = new Tasks(new EntitySerializer(database.orm), pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }));
  await database.orm.em.fork().upsert(User, { id: 1, name: '0', email: 'ann@example.org', updatedAt: new Date() });
  database.statements.length = 0;
});
afterEach(() => tasks.stop());

const retries = { limit: 20, delayMs: 100, backoff: false } as const;
const ann = (): User => database.orm.em.fork().getReference(User, 1);
const completed = async (handle: JobHandle<unknown>): Promise<number> => {
  await until(async () => (await handle.state()) === 'completed');
  return handle.attempt();
};
const userReads = (): string[] => selects(database.statements).filter((sql) => sql.includes('from "user"'));

test('PESSIMISTIC_WRITE: jobs of one row wait for each other', async () => {
  let inside = 0;
  const count = tasks.define(
    name(),
    async ({ user }: { user: User }) => {
      expect(++inside).toBe(1);
      await sleep(50);
      user.name = String(Number(user.name) + 1);
      inside--;
    },
    { transactional: true, lockMode: LockMode.PESSIMISTIC_WRITE, concurrency: 4, retries },
  );
  const handles = await count.bulk(Array.from({ length: 8 }, () => ({ user: ann() })));
  await tasks.work();
  // Each at its first attempt: they have waited, not failed.
  expect(await Promise.all(handles.map(completed))).toEqual(Array(8).fill(1));
  expect(userReads()).toEqual(Array(8).fill(expect.stringMatching(/for update \[/)));
  expect((await database.orm.em.fork().findOneOrFail(User, 1)).name).toBe('8');
});

test('SKIP LOCKED: the job of a row that is taken fails with E_LOCKED, and is retried until it gets it', async () => {
  let runs = 0;
  const queue = name();
  const task = tasks.define(queue, async ({ user }: { user: User }) => `${++runs} ${user.name}`, {
    transactional: true,
    lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE,
    retryMissingForMs: 0,
    retries,
  });
  const handle = await task.delay({ user: ann() });
  await database.orm.em.fork().transactional(async (em) => {
    const user = await em.findOneOrFail(User, 1, { lockMode: LockMode.PESSIMISTIC_WRITE });
    database.statements.length = 0;
    await tasks.work();
    await until(async () => (await handle.attempt()) >= 2);
    expect(userReads()[0]).toMatch(/for update skip locked \[/);
    const job = await boss.getJobById(queue, handle.id);
    expect([job?.output, runs]).toEqual([expect.objectContaining({ code: 'E_LOCKED' }), 0]);
    user.name = 'changed by the holder';
  });
  expect(await completed(handle)).toBeGreaterThan(1);
  expect(await handle.result()).toBe('1 changed by the holder');
});
