import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, TransactionContext } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { type Task, Tasks } from 'mikro-orm-byref/tasks';
import { recordingEngine, type RecordingEngine } from 'mikro-orm-byref/testing';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { Note, NoteSchema, tenant, tenantContext } from '../support/tenants.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let engine: RecordingEngine;
let tasks: Tasks;
let welcome: Task<{ user: User }, string>;
let seen: string[];

const em = (): EntityManager => database.orm.em.fork();
const rollback = new Error('rolled back in the end');
/** What many test suites do around each test. */
const rolledBack = (work: (tx: EntityManager) => Promise<void>): Promise<void> =>
  em()
    .transactional(async (tx) => {
      await work(tx);
      throw rollback;
    })
    .catch((error: unknown) => {
      if (error !== rollback) throw error;
    });
const newUser = async (own: EntityManager, id = 7): Promise<User> => {
  const user = own.create(User, { id, name: 'New', email: `${id}@example.org` });
  await own.flush();
  return user;
};

beforeAll(async () => {
  database = await openDatabase([...domain, NoteSchema]);
  serializer = new EntitySerializer(database.orm, { signingKeys: ['a secret of at least thirty-two bytes'] });
  const own = em();
  await newUser(own, 1);
  own.create(Note, { id: 1, tenant: 'acme', text: 'of acme' });
  await own.flush();
});
afterAll(() => database.close());
beforeEach(async () => {
  seen = [];
  engine = recordingEngine();
  tasks = new Tasks(serializer, engine);
  welcome = tasks.define('welcome', async ({ user }, job) => {
    seen.push(user.email);
    user.name = 'Welcomed';
    await job.em.flush();
    return user.email;
  });
});

describe('inside a transaction that is rolled back in the end', () => {
  test('jobs are recorded, run with its rows, and gone with it', async () => {
    await tasks.work();
    await rolledBack(async (tx) => {
      const user = await newUser(tx);
      const handle = await welcome.delay({ user });
      expect(engine.jobs(welcome)).toHaveLength(1);
      expect(await engine.run()).toMatchObject([{ task: 'welcome', state: 'completed', attempt: 1 }]);
      expect(seen).toEqual(['7@example.org']);
      await tx.refresh(user);
      expect(user.name).toBe('Welcomed');
      expect(await handle.result({ em: tx })).toBe('7@example.org');
    });
    expect(engine.jobs()).toEqual([]);
    expect(await em().count(User, { id: 7 })).toBe(0);
  });

  test('a savepoint takes its jobs along, or leaves them to the transaction around it', async () => {
    const transactional = tasks.define(
      'transactional',
      async ({ user }: { user: User }, job) => {
        user.name = 'Undone';
        await job.em.flush();
        throw new Error('on purpose');
      },
      { transactional: true, retries: { limit: 0 } },
    );
    await tasks.work();
    await rolledBack(async (tx) => {
      await tx.transactional(async (inner) => void (await welcome.delay({ user: await newUser(inner, 8) })));
      const lost = tx.transactional(async (inner) => {
        await welcome.delay({ user: await newUser(inner, 9) });
        throw new Error('on purpose');
      });
      await expect(lost).rejects.toThrow('on purpose');
      await engine.run();
      expect(seen).toEqual(['8@example.org']);
      // And so does a handler that fails.
      const user = await newUser(tx);
      await transactional.delay({ user });
      await expect(engine.run()).rejects.toThrow('on purpose');
      await tx.refresh(user);
      expect(user.name).toBe('New');
    });
  });

  test('one that was begun by hand, too', async () => {
    await tasks.work();
    const own = em();
    await own.begin();
    const user = await newUser(own);
    await welcome.delay({ user });
    await TransactionContext.create(own, () => welcome.delay({ user: own.getReference(User, 1) }));
    await engine.run();
    expect(seen).toEqual(['7@example.org', '1@example.org']);
    await own.rollback();
    expect(engine.jobs()).toEqual([]);
    expect(await em().findOneOrFail(User, 1)).toMatchObject({ name: 'New' });
  });
});

test('jobs are found by task and by arguments: equal rows are equal, whatever stands for them', async () => {
  const other = tasks.define('other', async (args: { user: User; n?: number }) => void args);
  const user = await em().findOneOrFail(User, 1);
  await welcome.delay({ user });
  await welcome.delay({ user: em().getReference(User, 2) });
  await other.delay({ user, n: 1 }, { delayMs: 60_000, priority: 5 });
  expect(engine.jobs().map(({ task }) => task)).toEqual(['welcome', 'welcome', 'other']);
  expect(engine.jobs(welcome)).toHaveLength(2);
  user.email = 'changed@example.org';
  for (const same of [user, em().getReference(User, 1), em().getReference(User, 1, { wrapped: true })]) {
    expect(engine.jobs(welcome, { user: same })).toHaveLength(1);
  }
  expect(engine.jobs(welcome, { user: em().getReference(User, 3) })).toEqual([]);
  expect(engine.jobs(other, { user })).toEqual([]);
  const token = serializer.token(user);
  expect(engine.jobs(other, { user, n: 1 })).toEqual([
    expect.objectContaining({
      args: { user: token, n: 1 },
      delayMs: 60_000,
      priority: 5,
      state: 'waiting',
      attempt: 0,
    }),
  ]);
  const handle = await welcome.delay({ user: em().getReference(User, 3) });
  expect(await handle.cancel()).toBe(true);
  expect(engine.jobs()).toHaveLength(3);
  engine.clear();
  expect(engine.jobs()).toEqual([]);
});

test('run() runs what was enqueued meanwhile, once each, and tells of what failed when all have run', async () => {
  let isBroken = true;
  const fragile = tasks.define('fragile', async ({ user }: { user: User }) => {
    if (isBroken) throw new Error('on purpose');
    await welcome.delay({ user });
  });
  const user = em().getReference(User, 1);
  await fragile.delay({ user });
  const [one, same] = [
    await welcome.delay({ user }, { dedupe: user }),
    await welcome.delay({ user }, { dedupe: user }),
  ];
  expect(same.id).toBe(one.id);
  expect((await failureOf(() => engine.run())).code).toBe('E_INVALID_OPTION');
  await tasks.work();
  expect(seen).toEqual([]);
  const failure = await engine.run().catch((error: unknown) => error);
  const cause = expect.objectContaining({ message: 'on purpose' });
  expect(failure).toMatchObject({ name: 'JobFailedError', failure: { message: 'on purpose' }, cause });
  expect(engine.jobs(fragile)).toMatchObject([{ state: 'waiting', attempt: 1, failure: { message: 'on purpose' } }]);
  expect(seen).toEqual(['1@example.org']);
  isBroken = false;
  expect((await engine.run()).map(({ task }) => task)).toEqual(['fragile', 'welcome']);
  expect(engine.jobs(fragile)).toMatchObject([{ state: 'completed', attempt: 2, failure: undefined }]);
  expect(await engine.run()).toEqual([]);
});

test('signed jobs and jobs of a context are read as ever', async () => {
  const own = new Tasks(serializer, engine, { signed: { purpose: 'jobs' }, context: tenantContext });
  const read = own.define('read', async ({ note }: { note: Note }) => void seen.push(note.text));
  await own.work();
  const note = em().getReference(Note, 1);
  await tenant.run('acme', () => read.delay({ note }));
  expect(engine.jobs(read, { note })).toHaveLength(1);
  await engine.run();
  expect(seen).toEqual(['of acme']);
});
