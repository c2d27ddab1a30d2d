/** Messages that commit with what they tell of, and relays that hand them on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { EntityCaseNamingStrategy, type EntityManager, EntitySchema } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { Outbox, type OutboxErrorReport, OutboxMessage, type PublishedMessage } from 'mikro-orm-byref/outbox';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';
import { Mailbox, Relays } from '../support/outbox.ts';
import { soon } from '../support/soon.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let relays: Relays;

beforeAll(async () => {
  database = await openDatabase([...domain, OutboxMessage] as never);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  relays = new Relays();
  await fork().nativeDelete(OutboxMessage, {});
  await fork().nativeDelete(User, {});
});
afterEach(() => relays.stop());

const fork = () => database.orm.em.fork();
const waiting = (): Promise<OutboxMessage[]> => fork().find(OutboxMessage, {}, { orderBy: { topic: 'asc' } });
const fail = (): never => {
  throw new Error('rolled back on purpose');
};

let users = 0;
const newUser = (em: EntityManager): User => {
  const id = ++users;
  return em.create(User, { id, name: `${id}`, email: `${id}@example.org` });
};

/** Until all is handed on, or has found its end. */
const settled = async (): Promise<boolean> => (await fork().count(OutboxMessage, { availableAt: { $ne: null } })) === 0;

test('where MikroORM makes no transactions there is no outbox', async () => {
  const without = await openDatabase([...domain, OutboxMessage] as never, { disableTransactions: true });
  const error = await failureOf(() => new Outbox(new EntitySerializer(without.orm)));
  expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('disableTransactions')]);
  await without.close();
});

test('ids are told apart as they are written', async () => {
  const box = new Mailbox(serializer);
  const ids = ['Order-7', 'order-7', 'order-7 ', 'ordér-7', 'x'.repeat(255), '→'.repeat(255), "it's", 'a\\b', '%'];
  for (const id of [...ids, ...ids]) await box.outbox.add('order.paid', { id }, { id });
  expect((await waiting()).map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  relays.start(box.outbox);
  await soon(settled);
  expect(box.messages.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  expect(await waiting()).toEqual([]);
});

test('a message that commits is handed on, its entities as their rows are by then', async () => {
  const box = new Mailbox(serializer);
  const em = fork();
  const user = await em.transactional(async (tx) => {
    const made = newUser(tx);
    await tx.flush();
    expect(await box.outbox.add('user.made', { user: made }, { em: tx })).toMatch(/^[0-9a-f-]{36}$/);
    relays.start(box.outbox);
    if (driver === 'postgresql') await sleep(100);
    expect(box.calls).toEqual([]);
    return made;
  });
  await soon(settled);
  expect(box.topics).toEqual(['user.made']);
  const [message] = box.messages;
  expect(message!.payload).toEqual({ $byref: 1, data: { user: { $entity: ['User', user.id] } } });
  user.email = 'new@example.org';
  await em.flush();
  const read = await serializer.decode<{ user: User }>(message!.payload, { em: fork() });
  expect([message!.attempt, message!.createdAt instanceof Date, read.user.email]).toEqual([1, true, 'new@example.org']);
});

test('what rolls back never was, and a savepoint takes its own along', async () => {
  const box = new Mailbox(serializer);
  await expect(fork().transactional(async (em) => [await box.outbox.add('all', {}, { em }), fail()])).rejects.toThrow();
  await fork().transactional(async (em) => {
    await box.outbox.add('first', {}, { em });
    const inner = em.transactional(async (own) => [await box.outbox.add('inner', {}, { em: own }), fail()]);
    await expect(inner).rejects.toThrow('on purpose');
    await em.transactional((own) => box.outbox.add('second', {}, { em: own }));
  });
  relays.start(box.outbox);
  await soon(settled);
  expect(box.topics.toSorted()).toEqual(['first', 'second']);
});

test('the transaction is that of the entities, else the ambient one; a message is one statement in it', async () => {
  const { outbox } = new Mailbox(serializer);
  const transaction = fork().transactional(async (em) => {
    const user = newUser(em);
    await em.flush();
    database.statements.length = 0;
    await outbox.add('of the entity', { user });
    await outbox.add('ambient', {});
    const notifies = driver === 'postgresql' ? 1 : 0;
    expect(database.statements.filter((sql) => /^insert/i.test(sql))).toHaveLength(2);
    expect(database.statements.length).toBeLessThanOrEqual(2 + notifies);
    fail();
  });
  await expect(transaction).rejects.toThrow('on purpose');
  expect(await waiting()).toEqual([]);
  await outbox.add('outside', {});
  expect(await waiting()).toMatchObject([{ topic: 'outside', availableAt: 0, attempts: 0, claim: null, error: null }]);
});

test('what could not come back is refused, as everywhere', async () => {
  const { outbox } = new Mailbox(serializer);
  expect(await failureOf(() => outbox.add('x', { user: newUser(fork()) }))).toMatchObject({ code: 'E_UNPERSISTED' });
  expect(await failureOf(() => outbox.add('x', { of: () => 1 }))).toMatchObject({ code: 'E_UNSERIALIZABLE' });
  expect(await waiting()).toEqual([]);
});

testWith('connections')('a message of two transactions is refused', async () => {
  const { outbox } = new Mailbox(serializer);
  await fork().transactional(async (one) => {
    const user = newUser(one);
    await one.flush();
    const other = fork().transactional((em) => outbox.add('x', { user }, { em }));
    expect(await failureOf(() => other)).toMatchObject({ code: 'E_TRANSACTION_MISMATCH' });
  });
});

test('while a message waits, another of its id is none', async () => {
  const box = new Mailbox(serializer);
  await fork().transactional(async (em) => {
    expect(await box.outbox.add('one', { n: 1 }, { em, id: 'webhook 7' })).toBe('webhook 7');
    await box.outbox.add('one', { n: 2 }, { em, id: 'webhook 7' });
    await box.outbox.add('one', { n: 3 }, { em, id: 'webhook 8' });
  });
  relays.start(box.outbox);
  await soon(settled);
  expect(box.messages.map(({ id, payload }) => [id, payload['data']])).toEqual([
    ['webhook 7', { n: 1 }],
    ['webhook 8', { n: 3 }],
  ]);
});

test('many go in batches, those of a topic together, the oldest first', async () => {
  const box = new Mailbox(serializer);
  await fork().transactional(async (em) => {
    for (let n = 0; n < 25; n++) {
      await box.outbox.add(n % 5 === 0 ? 'rare' : 'often', { n }, { em });
      if (n % 10 === 9) await sleep(2);
    }
  });
  relays.start(box.outbox, { batch: 10 });
  await soon(settled);
  expect(box.calls.map((call) => new Set(call.map(({ topic }) => topic)).size)).toEqual([1, 1, 1, 1, 1, 1]);
  const numbers = box.messages.map(({ payload }) => (payload['data'] as { n: number }).n);
  expect([0, 10, 20].map((start) => Math.min(...numbers.slice(start)))).toEqual([0, 10, 20]);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_, n) => n));
});

test('a payload is handed on as it was written, whatever is in it', async () => {
  const box = new Mailbox(serializer);
  const value = {
    texts: ['?', ':x', "'; drop table x; --", '\\', '\0', '\u{1F600}', 'ž', '$1', '"'],
    numbers: [0.1, -0, 1e21, 5e-324, 2 ** 53],
    more: new Map([[1n, new Date(0)]]),
    long: 'x'.repeat(200_000),
  };
  await box.outbox.add('any', value);
  relays.start(box.outbox);
  await soon(settled);
  expect(await serializer.decode(box.messages[0]!.payload)).toEqual(value);
});

test('one that can’t be handed on holds up no other; in the end it is a dead letter, kept with its error', async () => {
  const reports: OutboxErrorReport[] = [];
  const handedOn: string[] = [];
  const publish = (messages: readonly PublishedMessage[]): void => {
    if (messages.some(({ id }) => id === 'poison')) throw new TypeError('it is poison');
    handedOn.push(...messages.map(({ id }) => id));
  };
  const outbox = new Outbox(serializer, {
    publish,
    retries: { limit: 2, delayMs: 20 },
    onError: (report) => void reports.push(report),
  });
  await fork().transactional(async (em) => {
    for (const id of ['a', 'poison', 'b', 'c']) await outbox.add('x', {}, { em, id });
  });
  relays.start(outbox);
  await soon(settled);
  expect(handedOn.toSorted()).toEqual(['a', 'b', 'c']);
  expect(await waiting()).toMatchObject([
    { id: 'poison', topic: 'x', availableAt: null, attempts: 3, claim: null, error: 'TypeError: it is poison' },
  ]);
  await soon(() => reports.length >= 3);
  const told = reports.map(({ messages, final, error }) => [messages.length, messages[0]!.attempt, final, `${error}`]);
  const what = 'TypeError: it is poison';
  expect(told).toEqual([
    [4, 1, false, what],
    [1, 2, false, what],
    [1, 3, true, what],
  ]);
});

test('a dead letter is given back to the relays by an update', async () => {
  let isBroken = true;
  const box = new Mailbox(serializer, { retries: { limit: 0 } });
  const outbox = new Outbox(serializer, {
    publish: (messages) => (isBroken ? fail() : void box.calls.push(messages)),
    retries: { limit: 0 },
    onError: () => {},
  });
  await outbox.add('x', {});
  relays.start(outbox);
  await soon(settled);
  expect(await waiting()).toHaveLength(1);
  isBroken = false;
  await fork().nativeUpdate(OutboxMessage, { availableAt: null }, { availableAt: 0, attempts: 0 });
  await soon(async () => (await waiting()).length === 0);
  expect(box.topics).toEqual(['x']);
});

test('relays share the work: each message is handed on once, and never by two at a time', async () => {
  const underWay = new Set<string>();
  const seen: string[] = [];
  const publish = async (messages: readonly PublishedMessage[]): Promise<void> => {
    for (const { id } of messages) {
      if (underWay.has(id)) throw new Error(`${id} is handed on twice at a time`);
      underWay.add(id);
    }
    await sleep(Math.random() * 10);
    for (const { id } of messages) underWay.delete(id);
    seen.push(...messages.map(({ id }) => id));
  };
  const errors: unknown[] = [];
  const outboxes = Array.from(
    { length: 4 },
    () => new Outbox(serializer, { publish, onError: ({ error }) => void errors.push(error) }),
  );
  for (const outbox of outboxes) relays.start(outbox, { batch: 7 });
  const added: string[] = [];
  const produce = async (): Promise<void> => {
    for (let n = 0; n < 10; n++) {
      await fork().transactional(async (em) => {
        for (let m = 0; m < 10; m++) added.push(await outboxes[0]!.add('x', {}, { em }));
      });
    }
  };
  await Promise.all([produce(), produce(), produce()]);
  await soon(async () => errors.length > 0 || (await settled()));
  expect([errors, seen.toSorted()]).toEqual([[], added.toSorted()]);
});

/** What a relay leaves that has died with messages in its hands. */
const leave = (attempts: number): Promise<number> =>
  fork().nativeUpdate(OutboxMessage, {}, { claim: 'of one that died', availableAt: Date.now() - 1, attempts });

test('what a relay had in its hands when it died goes to another, one by one', async () => {
  const box = new Mailbox(serializer);
  for (const id of ['a', 'b', 'c']) await box.outbox.add('x', {}, { id });
  await leave(1);
  relays.start(box.outbox);
  await soon(settled);
  expect(box.calls.map((call) => call.map(({ attempt }) => attempt))).toEqual([[2], [2], [2]]);
});

test('one that its relays die of is a dead letter in the end, and not tried once more', async () => {
  const reports: OutboxErrorReport[] = [];
  const box = new Mailbox(serializer, { retries: { limit: 2 }, onError: (report) => void reports.push(report) });
  await box.outbox.add('x', {});
  await leave(3);
  relays.start(box.outbox);
  await soon(() => reports.length > 0);
  expect([box.calls, reports.map(({ final }) => final)]).toEqual([[], [true]]);
  expect(await waiting()).toMatchObject([{ availableAt: null, error: 'Error: Its relays have died.' }]);
});

test('a relay that is stopped ends its call and gives back the rest', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stopping = new AbortController();
  const calls: string[] = [];
  const outbox = new Outbox(serializer, {
    publish: async ([message]) => {
      calls.push(message!.topic);
      stopping.abort();
      await promise;
    },
  });
  await outbox.add('a', {});
  await sleep(5);
  await outbox.add('b', {});
  const stopped = outbox.relay({ signal: stopping.signal });
  await soon(() => calls.length > 0);
  resolve();
  await stopped;
  expect([calls, await waiting()]).toMatchObject([['a'], [{ topic: 'b', attempts: 0, availableAt: 0, claim: null }]]);
});

test('a call that takes longer than leaseMs is aborted, told and made again', async () => {
  const reasons: unknown[] = [];
  const reports: OutboxErrorReport[] = [];
  const outbox = new Outbox(serializer, {
    retries: { delayMs: 1 },
    onError: (report) => void reports.push(report),
    publish: ([message], { signal }) => {
      if (message!.attempt > 1) return undefined;
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return new Promise(() => undefined);
    },
  });
  await outbox.add('x', {});
  relays.start(outbox, { leaseMs: 200 });
  await soon(async () => (await waiting()).length === 0);
  expect(reasons).toEqual(reports.map(({ error }) => error));
  expect(String(reasons[0])).toContain('within leaseMs');
});

test('a database that fails is told of, and the relay goes on', async () => {
  const reports: OutboxErrorReport[] = [];
  const box = new Mailbox(serializer, { onError: (report) => void reports.push(report) });
  await box.outbox.add('x', {});
  await fork().execute('alter table byref_outbox rename to byref_outbox_away');
  relays.start(box.outbox);
  await soon(() => reports.length > 1);
  await fork().execute('alter table byref_outbox_away rename to byref_outbox');
  await soon(settled);
  expect([box.topics, reports[0]]).toMatchObject([['x'], { messages: [], final: false }]);
});

test('without publish a message fails, and says what to do', async () => {
  const reports: OutboxErrorReport[] = [];
  const outbox = new Outbox(serializer, { onError: (report) => void reports.push(report) });
  await outbox.add('order.paid', {});
  relays.start(outbox);
  await soon(() => reports.length > 0);
  expect(reports[0]!.error).toMatchObject({
    code: 'E_UNSUPPORTED',
    message: expect.stringContaining('option publish'),
  });
});

test('a signed serializer signs messages', async () => {
  const signed = new EntitySerializer(database.orm, {
    signingKeys: ['a secret of thirty-two bytes, ok'],
    signed: { purpose: 'events' },
  });
  const box = new Mailbox(signed);
  await box.outbox.add('x', { n: 1 });
  relays.start(box.outbox);
  await soon(settled);
  const { payload } = box.messages[0]!;
  expect(await signed.decode(payload)).toEqual({ n: 1 });
  await expect(signed.decode({ ...payload, data: { n: 2 } })).rejects.toMatchObject({ code: 'E_BAD_SIGNATURE' });
});

test('filters, naming strategy and names that the application demands are no matter', async () => {
  const other = await openDatabase([...domain, OutboxMessage] as never, {
    namingStrategy: EntityCaseNamingStrategy,
    filters: { own: { cond: { nobody: 'has this' }, default: true } } as never,
  });
  try {
    const own = new EntitySerializer(other.orm, { models: 'declared', requireNames: false });
    const box = new Mailbox(own);
    await other.orm.em.fork().transactional((em) => box.outbox.add('x', {}, { em }));
    relays.start(box.outbox);
    await soon(() => box.calls.length > 0);
    await relays.stop();
    expect(await other.orm.em.fork().count(OutboxMessage, {}, { filters: false })).toBe(0);
  } finally {
    await other.close();
  }
});

testWith('schemas')('a tenant’s messages are rows of the ORM’s own schema, where relays look', async () => {
  const box = new Mailbox(serializer);
  await database.orm.em.fork({ schema: 'nowhere' }).transactional((em) => box.outbox.add('x', {}, { em }));
  relays.start(box.outbox);
  await soon(settled);
  expect(box.topics).toEqual(['x']);
});

test('a transaction of another ORM can’t hold a message', async () => {
  const other = await openDatabase(
    [new EntitySchema({ name: 'Note', properties: { id: { type: 'integer', primary: true } } })],
    { contextName: 'other' },
  );
  try {
    const { outbox } = new Mailbox(new EntitySerializer([database.orm, other.orm]));
    const adding = other.orm.em.fork().transactional((em) => outbox.add('x', {}, { em }));
    expect(await failureOf(() => adding)).toMatchObject({ code: 'E_UNSUPPORTED' });
  } finally {
    await other.close();
  }
});

test('bad options, and an ORM that does not list OutboxMessage, are refused', async () => {
  const { outbox } = new Mailbox(serializer);
  const bad: readonly [() => unknown, string][] = [
    [() => new Outbox(serializer, { publish: 'x' as never }), 'option publish'],
    [() => new Outbox(serializer, { retries: { limit: -1 } }), 'option retries.limit'],
    [() => outbox.add('', {}), 'topic of a message'],
    [() => outbox.add('x'.repeat(256), {}), 'topic of a message'],
    [() => outbox.add('mikro-orm-byref:x', {}), 'topic of a message'],
    [() => outbox.add('x', {}, { id: '' }), 'option id'],
    [() => outbox.add('x', {}, { em: {} as never }), 'option em'],
    [() => outbox.relay({ batch: 0 }), 'option batch'],
    [() => outbox.relay({ pollMs: 0 }), 'option pollMs'],
    [() => outbox.relay({ leaseMs: -1 }), 'option leaseMs'],
    [() => outbox.relay({ signal: 'x' as never }), 'option signal'],
  ];
  for (const [run, option] of bad) {
    const { code, message } = await failureOf(run);
    expect([code, message]).toEqual(['E_INVALID_OPTION', expect.stringContaining(option)]);
  }
  const without = await openDatabase(domain);
  try {
    const { message } = await failureOf(() => new Outbox(new EntitySerializer(without.orm)));
    expect(message).toContain('OutboxMessage of mikro-orm-byref/outbox among the entities');
  } finally {
    await without.close();
  }
});

test('the table that MikroORM has made is as it wants it', async () => {
  const { schema } = database.orm as unknown as { schema: { getUpdateSchemaSQL(): Promise<string> } };
  expect(await schema.getUpdateSchemaSQL()).not.toContain('byref_outbox');
});

test('a message is no entity that answers with its token', () => {
  expect(serializer.registry.names).toContain('mikro-orm-byref.OutboxMessage');
  const row = fork().create(OutboxMessage, {
    id: 'a',
    topic: 'x',
    payload: {},
    createdAt: new Date(0),
    availableAt: null,
    attempts: 0,
    claim: null,
    error: null,
  });
  expect(JSON.parse(JSON.stringify(row))).toMatchObject({ id: 'a', topic: 'x' });
});
