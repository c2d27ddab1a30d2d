/** Compiled, never run: values are typed from the factory to the result, and bentocache fits the cache. */
import { defineEntity, p, type Ref } from '@mikro-orm/core';
import type { BentoCache } from 'bentocache';
import type { CacheProvider } from 'bentocache/types';
import type { EntitySerializer } from 'mikro-orm-byref';
import { type BentoCacheLike, Cached, EntityCache } from 'mikro-orm-byref/cache';
import type { Comment, CommentSchema, User } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const serializer: EntitySerializer;
declare const bentocache: BentoCache<{ main: never }>;
declare const store: CacheProvider;
declare const user: User;
declare const userRef: Ref<User>;
declare const CommentClass: typeof Comment;
declare const Comments: typeof CommentSchema;

// bentocache, its stores and their namespaces fit.
bentocache satisfies BentoCacheLike;
store satisfies BentoCacheLike;
const cache = new EntityCache(serializer, bentocache);
void new EntityCache(serializer, store.namespace('pages'), { singleProcess: true });
// @ts-expect-error no such option
void new EntityCache(serializer, store, { single: true });

// From the factory to the result; a reference comes back as its entity.
expectType<{ user: User; at: Date }>()(
  await cache.getOrSet({ key: 'a', ttlMs: 1, factory: async () => ({ user: userRef, at: new Date() }) }),
  true,
);
expectType<number>()(await cache.getOrSet({ key: ['a', user], ttlMs: 1, graceMs: 1, factory: () => 1 }), true);
expectType<number>()(await cache.getOrSet({ key: 'a', ttlMs: null, scope: null, factory: () => 1 }), true);
expectType<User | undefined>()(await cache.get<Ref<User>>(['a', user], { scope: 'b' }), true);
expectType<boolean>()(await cache.has('a'), true);
// @ts-expect-error no such option
await cache.delete('a', { ttlMs: 1 });
// @ts-expect-error no life time
await cache.getOrSet({ key: 'a', factory: () => 1 });
// @ts-expect-error a property of another class
await cache.touch(CommentClass, { email: 'a' });
await cache.touch(CommentClass, { text: 'a' });
await cache.touch(Comments, { text: 'a' });
// @ts-expect-error a property of another class
await cache.touch(Comments, { email: 'a' });
await cache.getOrSet({ key: 'a', ttlMs: 1, dependsOn: [Comments, CommentClass], factory: () => 1 });
// A schema without a class.
const Author = defineEntity({ name: 'Author', properties: { id: p.integer().primary(), penName: p.string() } });
await cache.touch(Author, { penName: 'a' });
await cache.getOrSet({ key: 'a', ttlMs: 1, dependsOn: [Author], factory: () => 1 });
// @ts-expect-error a property of another class
await cache.touch(Author, { text: 'a' });
// @ts-expect-error no class
await cache.getOrSet({ key: 'a', ttlMs: 1, dependsOn: ['Comment'], factory: () => 1 });

export class Pages {
  declare readonly cache: EntityCache;

  @Cached({ ttlMs: 1, dependsOn: [CommentClass], key: (of: User) => ['profile', of] })
  async profile(of: User): Promise<string> {
    return of.name;
  }

  @Cached({ ttlMs: 1, cache: (self: Pages) => self.cache, dependsOn: () => [Comments] })
  async home(): Promise<number> {
    return 1;
  }

  // @ts-expect-error only what returns a promise can be cached
  @Cached({ ttlMs: 1 })
  count(): number {
    return 1;
  }
}
