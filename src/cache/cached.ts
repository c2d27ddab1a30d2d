import type { EntityManager } from '@mikro-orm/core';
import { aFunction, type Check, check, isFunction } from '../check.ts';
import { classNameOf, declaringClass, given, inPlaceOf } from '../decorated-method.ts';
import { ByReferenceError } from '../errors.ts';
import { contextOf, isEntityManager } from '../orm/context.ts';
import { classes, type EntityType } from '../orm/entity-class.ts';
import type { EntityCache } from './entity-cache.ts';
import { aDuration, aGracePeriod, checkLifetime, type Freshness } from './options.ts';

/** How long the result of a method is kept, and under which key: `@Cached({ ttlMs: 60_000 })`. */
export interface CachedOptions extends Freshness {
  /**
   * As in `getOrSet`; a function where the classes import each other.
   * @defaultValue none
   */
  readonly dependsOn?: readonly EntityType[] | (() => readonly EntityType[]);
  /**
   * What tells one call's value from another's: `(user: User) => ['profile', user]`. What else the method reads of
   * `this` is for the key to say.
   * @defaultValue the names of class and method, and the arguments
   */
  readonly key?: (...args: never[]) => unknown;
  /**
   * As in `getOrSet`; a function, told what `key` is: `() => null` for one value for all tenants.
   * @defaultValue as in `getOrSet`
   */
  readonly scope?: (...args: never[]) => unknown;
  /**
   * Where the cache is: `(self: Reports) => self.pages`.
   * @defaultValue `this.cache`
   */
  readonly cache?: (self: never) => EntityCache;
}

/** Only methods that return promises can be cached. */
type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** A legacy decorator and a TC39 one. */
export interface CachedDecorator {
  /** As a legacy decorator. */
  <Method extends AsyncMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void;
  /** As a TC39 decorator. */
  <Method extends AsyncMethod>(method: Method, context: ClassMethodDecoratorContext): Method;
}

/** As the decorator sees what it calls. */
type Method = (this: object, ...args: unknown[]) => Promise<unknown>;

/** What one EntityManager has in memory, changed or old, is not for all who ask the cache. */
function checkContext(em: EntityManager, own: EntityManager, name: string | symbol): void {
  if (contextOf(em) === own) return;
  const expected = 'the ORM’s own, orm.em, which stands for one of its own while the method runs; or getOrSet()';
  throw ByReferenceError.invalidOption(`this.em of the cached method ${String(name)}`, expected, em);
}

const CACHED_CHECKS: Record<keyof CachedOptions, Check> = {
  key: aFunction,
  scope: aFunction,
  ttlMs: aDuration,
  graceMs: aGracePeriod,
  dependsOn: ['an array of entity classes, or a function to one', (value) => isFunction(value) || classes[1](value)],
  cache: aFunction,
};

function checkCachedOptions(options: CachedOptions): void {
  check(options, CACHED_CHECKS, '@Cached option ');
  checkLifetime(options, '@Cached option ');
}

/**
 * A method whose result is kept in an EntityCache. What it returns comes through the serializer, on a miss too:
 * references are entities in it, collections arrays. They belong to `this.em`, where that is an EntityManager, else to
 * the request context's.
 * @throws E_INVALID_OPTION; the method throws as `getOrSet`.
 */
export function Cached(options: CachedOptions): CachedDecorator {
  checkCachedOptions(options);
  const decorate = (
    target: object,
    context: string | symbol | { readonly name: string | symbol },
    descriptor?: TypedPropertyDescriptor<Method>,
  ): Method | void => {
    if (typeof context === 'object') return cached(target as Method, context.name, options);
    if (typeof descriptor?.value !== 'function') {
      throw ByReferenceError.invalidOption('target of @Cached', 'a method', target);
    }
    descriptor.value = cached(descriptor.value, context, options);
  };
  return decorate as CachedDecorator;
}

function cached(method: Method, name: string | symbol, options: CachedOptions): Method {
  const { key: readKey, scope: readScope, cache: readCache, dependsOn = [], ...freshness } = options;
  if (typeof name === 'symbol' && readKey === undefined) {
    throw ByReferenceError.invalidOption(`option key of @Cached on ${String(name)}`, 'a function', undefined);
  }
  const replacement: Method = async function (...args) {
    const cache = readCache === undefined ? (this as { cache?: unknown }).cache : readCache(this as never);
    const { em } = this as { em?: unknown };
    return cacheOrFail(cache, name).getOrSet({
      ...freshness,
      // Two classes: a subclass may make something else of a method that it inherits, and call that of its base.
      key:
        readKey === undefined
          ? [classNameOf(this), declaringClass(this, name, replacement), String(name), ...given(args)]
          : readKey(...(args as never[])),
      dependsOn: typeof dependsOn === 'function' ? dependsOn() : dependsOn,
      factory: (own) => {
        if (isEntityManager(em)) checkContext(em, own, name);
        return method.apply(this, args);
      },
      ...(readScope !== undefined && { scope: readScope(...(args as never[])) }),
      ...(isEntityManager(em) && { em }),
    });
  };
  return inPlaceOf(method, replacement);
}

function cacheOrFail(cache: unknown, name: string | symbol): EntityCache {
  if (typeof (cache as Partial<EntityCache> | null | undefined)?.getOrSet === 'function') return cache as EntityCache;
  const expected = 'an EntityCache; set this.cache, or say where it is with @Cached({ cache })';
  throw ByReferenceError.invalidOption(`cache of the method ${String(name)}`, expected, cache);
}
