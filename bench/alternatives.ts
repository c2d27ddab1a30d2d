/** One job whose arguments hold entities, sent in the ways people use today: by value, as ids with finds by hand, by reference here. */
import { deepStrictEqual, equal } from 'node:assert/strict';
import { type EntityDTO, type EntityManager, wrap } from '@mikro-orm/core';
import * as devalue from 'devalue';
import type { EntitySerializer } from 'mikro-orm-byref';
import superjson from 'superjson';
import { Post, User } from '../fixtures/domain.ts';
import type { TestOrm } from '../fixtures/orm.ts';
import { race, type Race } from './measure.ts';

/** Mail `user` what was posted: entities, and beside them values with a type of their own and plain data. */
interface Job extends Extras {
  readonly user: User;
  readonly posts: readonly Post[];
}

interface Extras {
  readonly since: Date;
  readonly reads: ReadonlyMap<string, number>;
  readonly campaign: bigint;
  readonly layout: { readonly columns: number; readonly images: boolean; readonly subject: string };
}

/** The job with copies in place of its entities. */
interface Copy extends Extras {
  readonly user: EntityDTO<User>;
  readonly posts: readonly EntityDTO<Post>[];
}

interface Way {
  readonly name: string;
  /** The payload of a job whose entities are loaded. */
  send(job: Job): string;
  /** What the worker's handler works with. */
  receive(payload: string): Copy | Job | Promise<Job>;
}

/** What is no matter of time. Everything here is looked at, nothing assumed. */
export interface Facts {
  readonly bytes: number;
  /** SQL statements of sending and receiving. */
  readonly statements: number;
  /** Which row the worker sees when it has changed in between. */
  readonly rowOf: 'then' | 'now';
  /** Whether the worker has managed entities, or plain objects. */
  readonly isManaged: boolean;
}

/** The races of one size: what each way is called, and what is known of it. */
export interface AlternativeRaces {
  /** Entities in the job: a user and its posts. */
  readonly size: number;
  readonly send: Race;
  /** With the queries that the worker makes before it can start. */
  readonly receive: Race;
  readonly facts: ReadonlyMap<string, Facts>;
}

export const BY_REFERENCE = 'by reference, here';
export const FIND_PER_ID = 'ids, one find per id';

export async function benchAlternatives(
  serializer: EntitySerializer,
  database: TestOrm,
  size: number,
  rounds: number,
): Promise<AlternativeRaces> {
  const globalEm = database.orm.em;
  const job = await jobOf(globalEm.fork(), size);
  const facts = new Map<string, Facts>();
  const [senders, receivers] = [[], []] as { name: string; run(): unknown }[][];
  for (const way of waysOf(serializer, globalEm)) {
    const { name } = way;
    const payload = way.send(job);
    // A race between ways that deliver different things says nothing.
    deepStrictEqual(readingsOf(await way.receive(payload)), readingsOf(job));
    facts.set(name, await factsOf(way, job, database));
    senders!.push({ name, run: () => way.send(job) });
    receivers!.push({ name, run: () => way.receive(payload) });
  }
  const send = await race(senders!, rounds);
  return { size, send, receive: await race(receivers!, rounds, { warmUp: 5 }), facts };
}

async function jobOf(em: EntityManager, size: number): Promise<Job> {
  return {
    user: await em.findOneOrFail(User, 1),
    posts: await em.find(Post, { id: { $gt: 1, $lte: size } }, { orderBy: { id: 'asc' } }),
    since: new Date(Date.UTC(2026, 10, 21)),
    reads: new Map(Array.from({ length: 10 }, (_, index) => [`topic ${index}`, index * 7])),
    campaign: 9_007_199_254_740_993n,
    layout: { columns: 2, images: true, subject: 'What is new' },
  };
}

function waysOf(serializer: EntitySerializer, globalEm: EntityManager): Way[] {
  return [
    {
      name: 'superjson',
      send: (job) => superjson.stringify(copyOf(job)),
      receive: (payload) => superjson.parse<Copy>(payload),
    },
    {
      name: 'devalue',
      send: (job) => devalue.stringify(copyOf(job)),
      receive: (payload) => devalue.parse(payload) as Copy,
    },
    {
      name: 'devalue, em.merge',
      send: (job) => devalue.stringify(copyOf(job)),
      receive: (payload) => merged(globalEm.fork(), devalue.parse(payload) as Copy),
    },
    {
      name: FIND_PER_ID,
      send: writeIds,
      receive: (payload) => readIds(globalEm.fork(), payload, findEach),
    },
    {
      name: 'ids, one find per model',
      send: writeIds,
      receive: (payload) => readIds(globalEm.fork(), payload, findAll),
    },
    {
      name: BY_REFERENCE,
      send: (job) => serializer.serialize(job),
      receive: (payload) => serializer.deserialize<Job>(payload, { em: globalEm.fork() }),
    },
  ];
}

const copyOf = (job: Job): Copy => ({
  ...job,
  user: wrap(job.user).toObject(),
  posts: job.posts.map((post) => wrap(post).toObject()),
});

/** Managed entities, with the data of the copy. */
const merged = (em: EntityManager, copy: Copy): Job => ({
  ...copy,
  user: em.merge(User, copy.user),
  posts: copy.posts.map((post) => em.merge(Post, post)),
});

function writeIds({ user, posts, since, reads, campaign, layout }: Job): string {
  return JSON.stringify({
    userId: user.id,
    postIds: posts.map(({ id }) => id),
    since: since.toISOString(),
    reads: [...reads],
    campaign: campaign.toString(),
    layout,
  });
}

interface Ids {
  readonly userId: number;
  readonly postIds: readonly number[];
  readonly since: string;
  readonly reads: readonly (readonly [string, number])[];
  readonly campaign: string;
  readonly layout: Extras['layout'];
}

type FindPosts = (em: EntityManager, ids: readonly number[]) => Promise<Post[]>;

async function readIds(em: EntityManager, payload: string, findPosts: FindPosts): Promise<Job> {
  const { userId, postIds, since, reads, campaign, layout } = JSON.parse(payload) as Ids;
  return {
    user: await em.findOneOrFail(User, userId),
    posts: await findPosts(em, postIds),
    since: new Date(since),
    reads: new Map(reads),
    campaign: BigInt(campaign),
    layout,
  };
}

/** As Active Job loads every argument, and Laravel every model outside a collection. */
async function findEach(em: EntityManager, ids: readonly number[]): Promise<Post[]> {
  const posts: Post[] = [];
  for (const id of ids) posts.push(await em.findOneOrFail(Post, id));
  return posts;
}

async function findAll(em: EntityManager, ids: readonly number[]): Promise<Post[]> {
  if (ids.length === 0) return [];
  const posts = new Map((await em.find(Post, { id: { $in: [...ids] } })).map((post) => [post.id, post]));
  return ids.map((id) => posts.get(id)!);
}

/** What a handler reads of a job, whatever it is made of. */
function readingsOf({ user, posts, since, reads, campaign, layout }: Job | Copy): unknown {
  const { id, name, email } = user;
  return {
    user: { id, name, email },
    posts: posts.map(({ id: postId, title, body }) => ({ id: postId, title, body })),
    since,
    reads,
    campaign,
    layout,
  };
}

async function factsOf(way: Way, job: Job, { orm, statements }: TestOrm): Promise<Facts> {
  statements.length = 0;
  orm.config.set('debug', ['query']);
  const payload = way.send(job);
  const { user } = await way.receive(payload);
  orm.config.set('debug', false);
  return {
    bytes: Buffer.byteLength(payload),
    statements: statements.length,
    rowOf: await rowSeen(way, payload, job.user, orm.em),
    isManaged: user instanceof User && wrap(user).isManaged(),
  };
}

/** Changes the user's row while the payload is on its way, looks what arrives, and changes it back. */
async function rowSeen(way: Way, payload: string, user: User, globalEm: EntityManager): Promise<'then' | 'now'> {
  const name = 'renamed meanwhile';
  await globalEm.fork().nativeUpdate(User, user.id, { name });
  const received = await way.receive(payload);
  await globalEm.fork().nativeUpdate(User, user.id, { name: user.name });
  if (received.user.name === name) return 'now';
  equal(received.user.name, user.name);
  return 'then';
}
