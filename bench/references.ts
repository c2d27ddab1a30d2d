/** Serializing and reviving lists of mixed references, against what a person would write by hand and against JSON alone. */
import { deepStrictEqual } from 'node:assert/strict';
import type { EntityClass, EntityManager, RequiredEntityData } from '@mikro-orm/core';
import { type EntitySerializer } from 'mikro-orm-byref';
import { Comment, Post, User } from '../fixtures/domain.ts';
import { race, type Race } from './measure.ts';

/** The races of one size. */
export interface ReferenceRaces {
  readonly size: number;
  /**
   * `references` and `loaded`, which is `serialize` of entities without and with their rows, against `stringify` of tokens
   * that are there already and `by hand`, where they are made too.
   */
  readonly codec: Race;
  /** Of `benchRevive`. */
  readonly database: Race;
}

type Entity = User | Post | Comment;
const MODELS = { User, Post, Comment } as const;

const [ROWS, ROWS_AT_ONCE] = [10_000, 1_000];

/** Rows of 0.3 to 1 kB: 10,000 of each model. */
export async function fill(em: EntityManager): Promise<void> {
  await insertRows(em, User, (id) => ({
    id,
    name: `user ${id}`,
    email: `user${id}@example.org`,
    nickname: 'n'.repeat(100 + (id % 100)),
    secret: 's'.repeat(100),
    version: 1,
    updatedAt: new Date(),
  }));
  await insertRows(em, Post, (id) => ({
    id,
    title: `post ${id}`,
    body: `${id}${'b'.repeat(400 + (id % 500))}`,
    version: 1,
    author: id,
  }));
  await insertRows(em, Comment, (id) => ({
    id: BigInt(id),
    text: 'c'.repeat(250 + (id % 300)),
    post: id,
    author: ROWS + 1 - id,
  }));
}

async function insertRows<T extends Entity>(
  em: EntityManager,
  model: EntityClass<T>,
  row: (id: number) => RequiredEntityData<T>,
): Promise<void> {
  for (let from = 1; from <= ROWS; from += ROWS_AT_ONCE) {
    const rows = Array.from({ length: ROWS_AT_ONCE }, (_, index) => row(from + index));
    await em.insertMany<T>(model, rows);
  }
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
  const loaded = await handWritten(globalEm.fork(), idsOf(references));
  deepStrictEqual(serializer.serialize(loaded), text);
  deepStrictEqual(writtenByHand(references), text);
  const codec = await race(
    [
      { name: 'references', run: () => serializer.serialize(references) },
      { name: 'loaded', run: () => serializer.serialize(loaded) },
      { name: 'stringify', run: () => JSON.stringify(envelope) },
      { name: 'by hand', run: () => writtenByHand(references) },
    ],
    rounds,
  );
  return { size, codec, database: await benchRevive(serializer, globalEm, size, rounds) };
}

/** `revive` against `by hand`; `parse` is the floor of what revive does before its first query. */
export async function benchRevive(
  serializer: EntitySerializer,
  globalEm: EntityManager,
  size: number,
  rounds: number,
): Promise<Race> {
  const references = mixedList(globalEm.fork(), size);
  const ids = idsOf(references);
  const text: string = serializer.serialize(references);
  const revive = { name: 'revive', run: () => serializer.deserialize<Entity[]>(text, { em: globalEm.fork() }) };
  const byHand = { name: 'by hand', run: () => handWritten(globalEm.fork(), ids) };
  // A race between contenders that do different work says nothing.
  deepStrictEqual((await revive.run()).map(rowOf), (await byHand.run()).map(rowOf));
  return race([revive, byHand, { name: 'parse', run: () => JSON.parse(text) as unknown }], rounds);
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

/** What the database told of an entity. */
function rowOf(entity: Entity): readonly unknown[] {
  return [
    entity.constructor,
    entity.id,
    'email' in entity ? entity.email : 'body' in entity ? entity.body : entity.text,
  ];
}

/** The same text for who knows that each entity is one with a row, a class of these three and a key that has not changed. */
const writtenByHand = (list: readonly Entity[]): string =>
  JSON.stringify({
    $byref: 1,
    data: list.map(({ constructor, id }) => ({
      $entity: [constructor.name, typeof id === 'bigint' ? { $bigint: String(id) } : id],
    })),
  });

type Ids = readonly (readonly [keyof typeof MODELS, number | string])[];

/** What a careful person sends: the names of the models, and ids as JSON has them. */
const idsOf = (list: readonly Entity[]): string =>
  JSON.stringify(list.map(({ constructor, id }) => [constructor.name, typeof id === 'bigint' ? String(id) : id]));

/** What a careful person writes: one find per model for the distinct ids, and the list put together again. */
async function handWritten(em: EntityManager, text: string): Promise<Entity[]> {
  const ids = JSON.parse(text) as Ids;
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
    for (const row of rows) found[name].set(typeof row.id === 'bigint' ? String(row.id) : row.id, row);
  }
  return ids.map(([model, id]) => found[model].get(id)!);
}
