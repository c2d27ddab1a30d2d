/** Jobs of earlier releases, as they were stored: they are read for good. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EntitySerializer, type JsonObject } from 'mikro-orm-byref';
import { defineDto, field } from 'mikro-orm-byref/class-transformer';
import { type Engine, inlineEngine, Tasks, type TasksOptions } from 'mikro-orm-byref/tasks';
import { recordingEngine } from 'mikro-orm-byref/testing';
import { domain, Post, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { Reminder1, Reminder2, Reminder3, reminderUpgrades as upgrade } from '../../fixtures/reminders.ts';
import { openDatabase } from '../support/database.ts';

interface Golden {
  readonly name: string;
  readonly payload: JsonObject;
  readonly text: string;
}

const file = new URL('../../fixtures/payloads/v1/reminders.json', import.meta.url);
const golden = JSON.parse(readFileSync(file, 'utf8')) as {
  readonly secret: string;
  readonly unsigned: readonly Golden[];
  readonly signed: readonly Golden[];
};

const queue = 'remind';
let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm, { signingKeys: [golden.secret] });
  const em = database.orm.em.fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  em.create(Post, { id: 7, title: 'Hello', body: '', author: ann });
  await em.flush();
});
afterAll(() => database.close());

/** Enqueues what is stored, and gives the handle of its job. */
async function stored(engine: Engine, payload: JsonObject): Promise<string> {
  const settings = { name: queue, retries: { limit: 1, delayMs: 0, backoff: false }, concurrency: 1, batch: 1 };
  const job = { id: randomUUID(), queue: settings, data: payload, delayMs: 0, priority: 0, dedupeKey: undefined };
  return (await engine.enqueue([job], undefined))[0]!;
}

describe.each([
  ['unsigned', {}],
  ['signed', { signed: { purpose: 'jobs' } }],
] as const)('%s', (kind, options: TasksOptions) => {
  test('jobs of three releases are read by the last of them', async () => {
    const engine = inlineEngine();
    const tasks = new Tasks(serializer, engine, options);
    const task = tasks.define(queue, async (reminder: Reminder3) => reminder.text, { as: Reminder3, upgrade });
    const ids = await Promise.all(golden[kind].map(({ payload }) => stored(engine, payload)));
    await tasks.work();
    expect(golden[kind]).toHaveLength(4);
    for (const [index, { text }] of golden[kind].entries()) expect(await task.handle(ids[index]!).wait()).toBe(text);
    await tasks.stop();
  });

  test('and are written as they were then', async () => {
    const em = database.orm.em.fork();
    const [ann, post] = [await em.findOneOrFail(User, 1), await em.findOneOrFail(Post, 7)];
    const written: JsonObject[] = [];
    const engine = inlineEngine();
    const enqueue = engine.enqueue.bind(engine);
    engine.enqueue = (jobs, own) => {
      written.push(...jobs.map(({ data }) => data));
      return enqueue(jobs, own);
    };
    const release = () => new Tasks(serializer, engine, options);
    await release().declare<Reminder1>(queue).delay({ user: ann });
    await release().declare<Reminder2>(queue).delay({ user: ann, post, language: 'cs' });
    await release().declare<Reminder2>(queue).delay({ user: ann, post: null, language: 'en' });
    await release()
      .declare<Omit<Reminder3, 'text'>>(queue)
      .delay({ reader: ann, posts: [post, post], language: 'de' });
    expect(written).toEqual(golden[kind].map(({ payload }) => payload));
  });
});

test('a batch of all of them sends one query per model', async () => {
  const engine = inlineEngine();
  const tasks = new Tasks(serializer, engine);
  const task = tasks.define(queue, (list: Reminder3[]) => list.map(({ text }) => text), {
    as: Reminder3,
    upgrade,
    batch: true,
  });
  const ids = await Promise.all(golden.unsigned.map(({ payload }) => stored(engine, payload)));
  database.statements.length = 0;
  await tasks.work();
  const texts = await Promise.all(ids.map((id) => task.handle(id).wait()));
  expect(texts).toEqual(golden.unsigned.map(({ text }) => text));
  expect(database.statements).toHaveLength(2);
  await tasks.stop();
});

test('a class of now that extends an earlier one is not upgraded again', async () => {
  class Extended extends Reminder2 {
    loud = false;
  }
  defineDto(Extended, { loud: field() });
  const engine = recordingEngine();
  const tasks = new Tasks(serializer, engine);
  const seen: unknown[] = [];
  tasks.define(queue, async ({ language, loud }: Extended) => void seen.push([language, loud]), {
    as: Extended,
    upgrade: [
      { from: Reminder2, to: (old) => Object.assign(new Extended(), { ...old, language: 'upgraded' }) },
      { from: Reminder1, to: ({ user }) => Object.assign(new Extended(), { user, post: null, loud: true }) },
    ],
  });
  await tasks.work();
  await stored(engine, golden.unsigned[0]!.payload);
  await stored(engine, golden.unsigned[1]!.payload);
  await engine.run();
  // The second has all that the class of now requires.
  expect(seen).toEqual([
    ['en', true],
    ['cs', false],
  ]);
});

test('what an upgrade throws fails the attempt, which is tried again', async () => {
  const engine = inlineEngine();
  const told: unknown[] = [];
  const tasks = new Tasks(serializer, engine, { onError: ({ error, final }) => void told.push([error, final]) });
  let fails = true;
  const failure = new Error('not yet');
  const task = tasks.define(queue, async (reminder: Reminder3) => reminder.text, {
    as: Reminder3,
    retries: { limit: 1, delayMs: 0, backoff: false },
    upgrade: {
      from: Reminder1,
      to: ({ user }) => {
        if (!fails) return Object.assign(new Reminder3(), { reader: user, posts: [], language: 'en' });
        fails = false;
        throw failure;
      },
    },
  });
  await tasks.work();
  const id = await stored(engine, golden.unsigned[0]!.payload);
  expect(await task.handle(id).wait()).toBe('en: Ann, nothing');
  expect(told).toEqual([[failure, false]]);
  await tasks.stop();
});

test('an upgrade needs the class of now beside it, a class and a function', () => {
  const tasks = new Tasks(serializer, inlineEngine());
  const define = (options: object) => () => tasks.define('x', async () => undefined, options);
  const to = () => new Reminder3();
  expect(define({ upgrade: { from: Reminder1, to } })).toThrow(/option upgrade.*as beside it/s);
  for (const wrong of [1, {}, { from: Reminder1 }, { from: {}, to }, [to]]) {
    expect(define({ as: Reminder3, upgrade: wrong })).toThrow(/option upgrade.*from, to/s);
  }
});
