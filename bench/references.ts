/** Serializing and reviving lists of mixed references, against what a person would write by hand and against JSON alone. */
import { deepStrictEqual } from 'node:assert/strict';
import type { EntityManager } from '@mikro-orm/core';
import { type EntitySerializer } from 'mikro-orm-byref';
import { Comment, Post, User } from '../fixtures/domain.ts';
import { race, type Race } from './measure.ts';

/** The races of one size. */
export interface ReferenceRaces {
  readonly size: number;
  /** `references` and `loaded`, which is `serialize` of entities without and with their rows, against `stringify`. */
  readonly codec: Race;
  /** `revive` against `by hand`; `parse` is the floor of what revive does before its first query. */
  readonly database: Race;
}

type Entity = User | Post | Comment;
const MODELS = { User, Post, Comment } as const;

/** Rows of 0.3 to 1 kB: 10,000 of each model. */
export async function fill(em: EntityManager): Promise<void> {
  const run = (sql: string): Promise<unknown> => em.getConnection().execute(sql);
  await run(`insert into "user" (id, name, email, nickname, secret, version, updated_at)
    select n, 'user ' || n, 'user' || n || '@example.org', repeat('n', 100 + n % 100), repeat('s', 100), 1, now() from generate_series(1, 10000) n`);
  await run(`insert into post (id, title, body, version, author_id)
    select n, 'post ' || n, n || repeat('b', 400 + n % 500), 1, n from generate_series(1, 10000) n`);
  await run(`insert into comment (id, text, post_id, author_id)
    select n, repeat('c', 250 + n % 300), n, 10001 - n from generate_series(1, 10000) n`);
  await run('analyze');
}

/** The three models in turn, and every fifth reference names a row that the list has already. */
function mixedList(em: EntityManager, size: number): Entity[] {
  const list: Entity[] = [];
  for (let id = 1; list.length < size; id++) {
    for (const entity of [em.getReference(User, id), em.getReference(Post, id), em.getReference(Comment, BigInt(id))]) {
      if (list.length % 5 === 4) list.push(list[(id * 7_919) % list.length]!);
      list.push(entity);
    }
  }
  return list.slice(0, size);
}

export async function benchReferences(
  serializer: EntitySerializer,
  globalEm: EntityManager,
  size: number,
  rounds: number,
): Promise<ReferenceRaces> {
  const references = mixedList(globalEm.fork(), size);
  const text: string = serializer.serialize(references);
  const envelope = JSON.parse(text) as unknown;
  const ids = references.map((entity) => [entity.constructor.name as keyof typeof MODELS, entity.id] as const);
  const loaded = await handWritten(globalEm.fork(), ids);

  const revive = { name: 'revive', run: () => serializer.deserialize<Entity[]>(text, { em: globalEm.fork() }) };
  const byHand = { name: 'by hand', run: () => handWritten(globalEm.fork(), ids) };
  // A race between contenders that do different work says nothing.
  deepStrictEqual(serializer.serialize(loaded), text);
  for (const { run } of [revive, byHand]) deepStrictEqual((await run()).map(rowOf), loaded.map(rowOf));

  const codec = await race(
    [
      { name: 'references', run: () => serializer.serialize(references) },
      { name: 'loaded', run: () => serializer.serialize(loaded) },
      { name: 'stringify', run: () => JSON.stringify(envelope) },
    ],
    rounds,
  );
  const parse = { name: 'parse', run: () => JSON.parse(text) as unknown };
  const database = await race([revive, byHand, parse], rounds);
  return { size, codec, database };
}

/** What a job usually carries: one reference, and two of two models, against finds by hand; each in a fresh fork. */
export async function benchFew(serializer: EntitySerializer, globalEm: EntityManager, rounds: number): Promise<Race> {
  const fork = (): EntityManager => globalEm.fork();
  const user = globalEm.fork().getReference(User, 7);
  const post = globalEm.fork().getReference(Post, 7);
  const [one, two] = [serializer.serialize({ user }), serializer.serialize({ user, post })];
  return race(
    [
      { name: 'one', run: () => serializer.deserialize(one, { em: fork() }) },
      { name: 'findOneOrFail', run: () => fork().findOneOrFail(User, 7) },
      { name: 'two', run: () => serializer.deserialize(two, { em: fork() }) },
      {
        name: 'two side by side',
        run: () => {
          const em = fork();
          return Promise.all([em.findOneOrFail(User, 7), em.findOneOrFail(Post, 7)]);
        },
      },
    ],
    rounds,
    // A hot loop is what is compared: what runs once a call is compiled to the end after ten thousand calls or more, and
    // till then what compiling takes is measured, on whichever side there are more functions.
    { warmUpMs: 3_000 },
  );
}

/** One reference into an EntityManager that manages 30,000 rows, against a find with `refresh` there. */
export async function benchCrowded(
  serializer: EntitySerializer,
  globalEm: EntityManager,
  rounds: number,
): Promise<Race> {
  const em = globalEm.fork();
  for (const model of [User, Post, Comment]) await em.findAll<Entity>(model as never);
  const text = serializer.serialize({ user: em.getReference(User, 7) });
  return race(
    [
      { name: 'revive', run: () => serializer.deserialize(text, { em }) },
      { name: 'find', run: () => em.find(User, { id: 7 }, { refresh: true, flushMode: 'commit' }) },
    ],
    rounds,
  );
}

/** What the database told of an entity. */
function rowOf(entity: Entity): readonly unknown[] {
  return [
    entity.constructor,
    entity.id,
    'email' in entity ? entity.email : 'body' in entity ? entity.body : entity.text,
  ];
}

type Ids = readonly (readonly [keyof typeof MODELS, number | bigint])[];

/** What a careful person writes: one find per model for the distinct ids, and the list put together again. */
async function handWritten(em: EntityManager, ids: Ids): Promise<Entity[]> {
  const distinct = { User: new Set<unknown>(), Post: new Set<unknown>(), Comment: new Set<unknown>() };
  for (const [model, id] of ids) distinct[model].add(id);
  const found = {
    User: new Map<unknown, Entity>(),
    Post: new Map<unknown, Entity>(),
    Comment: new Map<unknown, Entity>(),
  };
  for (const name of ['User', 'Post', 'Comment'] as const) {
    if (distinct[name].size === 0) continue;
    const rows = (await em.find<Entity>(MODELS[name] as never, { id: [...distinct[name]] } as never)) as Entity[];
    for (const row of rows) found[name].set(row.id, row);
  }
  return ids.map(([model, id]) => found[model].get(id)!);
}
