/** Cache hits: against bentocache alone with the same value, and what entities in a value cost. */
import { deepStrictEqual } from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { MikroORM } from '@mikro-orm/core';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import type { EntitySerializer, ReviveTrace } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { Comment, User } from '../fixtures/domain.ts';
import { race, type Race } from './measure.ts';

const HOUR = 3_600_000;

export interface CacheRaces {
  /** `here` against `bentocache`; `here, depends` against `bentocache, tagged`. */
  readonly hits: Race;
  /** Queries of a hit with 10 entities. */
  readonly queries: number;
}

/** A page without entities: 20 comments, about 4 kB of JSON. */
const page = {
  title: 'Latest comments',
  comments: Array.from({ length: 20 }, (_, index) => ({
    id: index,
    author: `user ${index}`,
    text: 'A comment of some length, as people write them. '.repeat(3),
    likes: index * 3,
    isPinned: index === 0,
  })),
};

export async function benchCache(serializer: EntitySerializer, orm: MikroORM): Promise<CacheRaces> {
  const stores = { pages: bentostore().useL1Layer(memoryDriver({})) };
  const bento = new BentoCache({ default: 'pages', stores });
  const cache = new EntityCache(serializer, bento, { singleProcess: true });
  const factory = () => page;
  const contenders = {
    here: () => cache.getOrSet({ key: 'here', ttlMs: HOUR, factory }),
    bentocache: () => bento.getOrSet({ key: 'bentocache', ttl: HOUR, factory }),
    'here, depends': () => cache.getOrSet({ key: 'depends', ttlMs: HOUR, dependsOn: [Comment], factory }),
    'bentocache, tagged': () => bento.getOrSet({ key: 'tagged', ttl: HOUR, tags: ['Comment'], factory }),
  };
  for (const run of Object.values(contenders)) for (let hit = 0; hit < 2; hit++) deepStrictEqual(await run(), page);
  const hits = await race(
    Object.entries(contenders).map(([name, run]) => ({ name, run })),
    200,
  );
  return { hits, queries: await queriesOfHit(cache, orm) };
}

async function queriesOfHit(cache: EntityCache, orm: MikroORM): Promise<number> {
  const users = () =>
    cache.getOrSet({
      key: 'users',
      ttlMs: HOUR,
      em: orm.em.fork(),
      factory: async (em) => ({ page, users: await em.find(User, {}, { limit: 10 }) }),
    });
  await users();
  let queries = 0;
  const listen = (trace: unknown): void => void (queries += (trace as ReviveTrace).report!.queries);
  subscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
  if ((await users()).users.length !== 10) throw new Error('Expected 10 users.');
  unsubscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
  return queries;
}
