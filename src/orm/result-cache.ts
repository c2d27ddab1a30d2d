import type { EntityManager, ForkOptions } from '@mikro-orm/core';

/**
 * Has an EntityManager, and all that are forked from it, ask the database whatever `resultCache` and `cache` say, and
 * leave the result cache as it is. Returns it.
 */
export function passResultCache<Manager extends EntityManager>(em: Manager): Manager {
  const fork = em.fork.bind(em);
  const nothingCached = async (): Promise<undefined> => undefined;
  return Object.assign(em, {
    tryCache: nothingCached,
    storeCache: nothingCached,
    fork: (options?: ForkOptions) => passResultCache(fork(options)),
  });
}
