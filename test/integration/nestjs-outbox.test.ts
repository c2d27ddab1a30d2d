/** The outbox of the Nest module: injected, relayed by processes that work, and ended before the ORM. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { EntityManager } from '@mikro-orm/core';
import type { INestApplication } from '@nestjs/common';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { ByReferenceModule, type ByReferenceRootOptions, CommittedEvents } from 'mikro-orm-byref/nestjs';
import { Outbox, OutboxMessage } from 'mikro-orm-byref/outbox';
import { Tasks } from 'mikro-orm-byref/tasks';
import { Author, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { redisConnection } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { queueName } from '../support/jobs.ts';
import { ormModule, start } from '../support/nest.ts';
import { soon } from '../support/soon.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
const apps: INestApplication[] = [];
beforeAll(async () => {
  database = await openDatabase([...library, OutboxMessage] as never);
});
afterAll(() => database.close());
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  await database.orm.em.fork().nativeDelete(OutboxMessage, {});
  await database.orm.em.fork().nativeDelete(Author, {});
});

async function application(byRef: ReturnType<typeof ByReferenceModule.forRoot>): Promise<INestApplication> {
  const app = await start({ imports: [byRef, ormModule(database.url, undefined, [...library, OutboxMessage])] });
  apps.push(app);
  return app;
}

const ways: readonly (readonly [
  string,
  (options: ByReferenceRootOptions) => ReturnType<typeof ByReferenceModule.forRoot>,
])[] = [
  ['forRoot', (options) => ByReferenceModule.forRoot(options)],
  ['forRootAsync', (options) => ByReferenceModule.forRootAsync({ useFactory: async () => options })],
];

test.each(ways)(
  'an Outbox of %s is injected; who works relays it, until the application ends',
  async (_name, module) => {
    const topics: string[] = [];
    const outbox = {
      publish: (messages: readonly { topic: string }[]) => void topics.push(...messages.map((one) => one.topic)),
    };
    const producer = await application(module({ outbox }));
    const em = producer.get(EntityManager).fork();
    await em.transactional((tx) => producer.get(Outbox).add('one', {}, { em: tx }));
    expect(await em.count(OutboxMessage)).toBe(1);
    const worker = await application(module({ outbox, work: true }));
    await soon(() => topics.length === 1);
    await worker.close();
    await producer.get(Outbox).add('two', {});
    expect([topics, await em.count(OutboxMessage)]).toEqual([['one'], 1]);
  },
);

testWith('redis-server')('an engine is made with the outbox', async () => {
  const module = ByReferenceModule.forRoot({
    outbox: {},
    engine: (_orm, outbox) => bullmqEngine({ connection: redisConnection(), outbox: outbox! }),
    work: true,
  });
  const app = await application(module);
  const em = app.get(EntityManager).fork();
  const task = app.get(Tasks).define(queueName(), async ({ author }: { author: Author }) => author.email);
  await app.get(Tasks).work();
  const handle = await em.transactional(async (tx) => {
    const author = tx.create(Author, { id: 7, email: 'ann@example.org' });
    await tx.flush();
    const job = await task.delay({ author }, { em: tx });
    expect(await tx.count(OutboxMessage)).toBe(1);
    return job;
  });
  expect(await handle.wait()).toBe('ann@example.org');
});

test.each(ways)(
  'an event that is defined is a row of the transaction, and published where it is relayed, again after a failure: %s',
  async (_name, module) => {
    const heard: { email: string; isOwn: boolean }[] = [];
    const options = { outbox: { retries: { delayMs: 50 }, onError: () => undefined } };
    const [producer, worker] = [
      await application(module(options)),
      await application(module({ ...options, work: true })),
    ];
    const define = (app: INestApplication, to: (event: { author: Author }) => unknown) =>
      app.get(CommittedEvents).define<{ author: Author }>('author.moved', to);
    const moved = define(producer, () => heard.push({ email: 'in the process that has added it', isOwn: false }));
    const em = producer.get(EntityManager).fork();
    const author = em.create(Author, { id: 8, email: 'old' });
    await em.flush();
    const rolledBack = em.transactional(async (tx) => {
      await moved.publish({ author: await tx.findOneOrFail(Author, 8) });
      throw new Error('on purpose');
    });
    await expect(rolledBack).rejects.toThrow('on purpose');
    await em.transactional(async () => {
      await moved.publish({ author });
      author.email = 'new';
    });
    // A relay that does not know it yet leaves it to the next one, or to itself.
    await soon(async () => (await em.count(OutboxMessage, { error: { $ne: null } })) === 1);
    let calls = 0;
    define(worker, (event) => {
      if (++calls === 1) throw new Error('not now');
      const own = worker.get(EntityManager);
      heard.push({ email: event.author.email, isOwn: own.getReference(Author, 8) === event.author });
    });
    await soon(() => heard.length === 1);
    await soon(async () => (await em.fork().count(OutboxMessage)) === 0);
    expect([heard, calls]).toEqual([[{ email: 'new', isOwn: true }], 2]);
    expect((await failureOf(() => define(worker, () => undefined))).code).toBe('E_INVALID_OPTION');
    expect((await failureOf(() => moved.publish({ author: em.create(Author, { id: 9, email: '' }) }))).code).toBe(
      'E_UNPERSISTED',
    );
  },
);

test('without its option it can be injected with forRootAsync alone, and says so when it is used', async () => {
  const app = await application(ByReferenceModule.forRootAsync({ useFactory: async () => ({}) }));
  expect(await failureOf(() => app.get(Outbox).add('x', {}))).toMatchObject({ code: 'E_INVALID_OPTION' });
});
