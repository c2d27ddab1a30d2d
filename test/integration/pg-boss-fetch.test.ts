import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type EntityManager, RequestContext } from '@mikro-orm/core';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { type AdapterOptions, byReference } from 'mikro-orm-byref/pg-boss';
import { domain, User } from '../../fixtures/domain.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { bossDatabase } from '../support/boss-database.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { queueName, until } from '../support/jobs.ts';

type Data = { user: User; n: number };

let database: TestOrm;
let boss: PgBoss;
let queue: string;
let dead: string;

const em = (): EntityManager => database.orm.em.fork();
const user = (id = 1): User => em().getReference(User, id);
const token = { $entity: ['User', 1] };
const found = async (id: string | null, name = queue) => (await boss.findJobs(name, { id: id! }))[0]!;
const wrapped = (options: AdapterOptions = {}): PgBoss => {
  const serializer = new EntitySerializer(database.orm, { signingKeys: ['a secret of at least thirty-two bytes'] });
  return byReference(serializer, boss, options);
};
const inRequest = <T>(work: () => Promise<T>): Promise<T> => RequestContext.create(em(), work);

beforeAll(async () => {
  database = await openDatabase(domain);
  boss = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
  boss.on('error', () => undefined);
  await boss.start();
  const own = em();
  own.create(User, { id: 1, name: 'Ann', email: 'ann@old.example' });
  await own.flush();
});
afterAll(async () => {
  await boss.stop({ graceful: false });
  await database.close();
});
beforeEach(async () => {
  [queue, dead] = [queueName(), queueName()];
  await boss.createQueue(dead);
  await boss.createQueue(queue, { retryLimit: 1, deadLetter: dead });
});

test('fetch gives the rows of now, in the EntityManager around it, one query for a batch', async () => {
  const own = wrapped();
  for (const n of [0, 1]) await own.send(queue, { user: user(), n });
  const plain = await boss.send(queue, { userId: 7 });
  await em().nativeUpdate(User, 1, { email: 'ann@new.example' });
  await inRequest(async () => {
    database.statements.length = 0;
    const jobs = await own.fetch<Data>(queue, { batchSize: 3, includeMetadata: true });
    expect(selects(database.statements)).toHaveLength(1);
    const encoded = jobs.filter(({ id }) => id !== plain).sort((a, b) => a.data.n - b.data.n);
    expect(encoded.map(({ data }) => [data.user.email, data.n])).toEqual([
      ['ann@new.example', 0],
      ['ann@new.example', 1],
    ]);
    expect(jobs.find(({ id }) => id === plain)).toMatchObject({ data: { userId: 7 }, state: 'active' });
    expect(RequestContext.getEntityManager()!.getReference(User, 1)).toBe(encoded[0]!.data.user);
    // The same job, as far as pg-boss is concerned.
    await own.complete(queue, jobs);
    for (const { id } of jobs) expect(await found(id)).toMatchObject({ state: 'completed', output: null });
  });
  expect(await inRequest(() => own.fetch(queue))).toEqual([]);
});

test('without an EntityManager around it no job is taken', async () => {
  const own = wrapped();
  const id = await own.send(queue, { user: user(), n: 1 });
  expect((await failureOf(() => own.fetch(queue))).code).toBe('E_INVALID_OPTION');
  expect((await found(id)).state).toBe('created');
});

test('a job that can’t be read is failed with the reason, retried and dead-lettered; the others are handed out', async () => {
  const own = wrapped();
  const gone = await own.send(queue, { user: user(404), n: 1 });
  const good = await own.send(queue, { user: user(), n: 2 });
  const fetched = await inRequest(() => own.fetch<Data>(queue, { batchSize: 2 }));
  expect(fetched.map(({ id }) => id)).toEqual([good]);
  expect(await found(gone)).toMatchObject({ state: 'retry', output: { code: 'E_ENTITY_NOT_FOUND' } });
  expect(await inRequest(() => own.fetch(queue, { batchSize: 2 }))).toEqual([]);
  expect(await found(gone)).toMatchObject({ state: 'failed', retryCount: 1 });
  const [letter] = await boss.fetch(dead);
  expect(letter!.data).toEqual({ $byref: 1, data: { user: { $entity: ['User', 404] }, n: 1 } });
});

test('what the database fails with is thrown, and the jobs are another’s', async () => {
  const own = wrapped({ populate: { User: ['posts'] } });
  const id = await own.send(queue, { user: user(), n: 1 });
  await em().getConnection().execute('alter table "post" rename to "post_elsewhere"');
  try {
    await expect(inRequest(() => own.fetch(queue))).rejects.toThrow(/post/);
  } finally {
    await em().getConnection().execute('alter table "post_elsewhere" rename to "post"');
  }
  expect(await found(id)).toMatchObject({ state: 'retry' });
  expect(await inRequest(() => own.fetch(queue))).toHaveLength(1);
});

test('in a transaction of the application: a rollback takes all of it back', async () => {
  const own = wrapped();
  const ids = [await own.send(queue, { user: user(404), n: 1 }), await own.send(queue, { user: user(), n: 2 })];
  const rolledBack = em().transactional(async (tx) => {
    const options = { db: bossDatabase(tx) };
    const [job] = await own.fetch<Data>(queue, { batchSize: 2, ...options });
    expect(tx.getReference(User, 1)).toBe(job!.data.user);
    await own.complete(queue, job!.id, { mailed: job!.data.user }, options);
    throw new Error('on purpose');
  });
  await expect(rolledBack).rejects.toThrow('on purpose');
  for (const id of ids) expect(await found(id)).toMatchObject({ state: 'created', output: null });
});

test('complete and fail keep rows as tokens', async () => {
  const own = wrapped();
  const next = async () => {
    const id = await own.send(queue, { user: user(), n: 1 });
    await boss.fetch(queue);
    return id!;
  };
  const output = async (id: string): Promise<unknown> => (await found(id)).output;
  const ann = await em().findOneOrFail(User, 1);
  const completed = await next();
  await own.complete(queue, completed, { mailed: ann });
  expect(await output(completed)).toEqual({ $byref: 1, data: { mailed: token } });
  const failures: readonly [given: object | null, kept: unknown][] = [
    [{ refused: ann }, { $byref: 1, data: { refused: token } }],
    [{ message: 'plain' }, { message: 'plain' }],
    [new Error('on purpose'), expect.objectContaining({ name: 'Error', message: 'on purpose' })],
    [null, null],
  ];
  for (const [given, kept] of failures) {
    const id = await next();
    await own.fail(queue, id, given);
    expect(await output(id)).toEqual(kept);
    await boss.deleteJob(queue, id);
  }
  const asBefore = await next();
  await wrapped({ encode: false }).complete(queue, asBefore, { n: 1 });
  expect(await output(asBefore)).toEqual({ n: 1 });
});

test('a failure of one job among several keeps rows as tokens too', async () => {
  const own = wrapped();
  const id = await own.send(queue, { user: user(), n: 1 }, { retryLimit: 0 });
  await own.work<Data>(queue, { pollingIntervalSeconds: 0.5, perJobResults: true }, async (jobs) =>
    jobs.map(({ id: each, data }) => ({ id: each, status: 'failed', output: { refused: data.user } }) as const),
  );
  await until(async () => (await found(id)).state === 'failed');
  expect((await found(id)).output).toEqual({ $byref: 1, data: { refused: token } });
  await own.offWork(queue, { wait: true });
});

test('where jobs are signed, forged ones are not handed out, and an output is signed for its job', async () => {
  const own = wrapped({ signed: { purpose: 'jobs' } });
  const good = await own.send(queue, { user: user(), n: 1 });
  const other = await own.send(queue, { user: user(), n: 2 });
  const forged = await boss.send(queue, { $byref: 1, data: { user: token } });
  const jobs = await inRequest(() => own.fetch<Data>(queue, { batchSize: 3 }));
  jobs.sort((a, b) => a.data.n - b.data.n);
  expect(jobs.map(({ id }) => id)).toEqual([good, other]);
  expect(await found(forged)).toMatchObject({ output: { code: 'E_BAD_SIGNATURE' } });
  const both = () => own.complete(queue, jobs, { mailed: jobs[0]!.data.user });
  expect((await failureOf(both)).code).toBe('E_UNSUPPORTED');
  await own.complete(queue, jobs[0]!, { mailed: jobs[0]!.data.user });
  expect((await found(good)).output).toMatchObject({ result: { queue, id: good }, signature: expect.any(String) });
  await own.complete(queue, [jobs[1]!]);
  expect((await found(other)).state).toBe('completed');
});
