import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { isGlobal } from './context.ts';

/** What decides which rows the queries of an EntityManager see; undefined members are left out. */
export interface Scope {
  readonly schema?: string;
  /** The parameters of each filter that has some. */
  readonly filters?: { readonly [name: string]: unknown };
  /** MikroORM 7: what row level security goes by. */
  readonly session?: unknown;
}

/** MikroORM 6 has no session context. */
type WithSession = EntityManager & { getSessionContext?(): unknown };

/** The filters that the configuration and the entities declare. Of those of `em.addFilter` there is no list. */
export const filterNames = (orm: MikroORM): readonly string[] => {
  const declared = Array.from(orm.getMetadata(), ({ filters }) => filters);
  return [...new Set([orm.config.get('filters'), ...declared].flatMap((filters) => Object.keys(filters)))];
};

/** Undefined where all see the same. */
export function scopeOf(em: EntityManager, names: readonly string[]): Scope | undefined {
  const { schema } = em;
  const session = (em as WithSession).getSessionContext?.();
  const filters = names.length === 0 ? undefined : paramsOf(em, names);
  if (schema === undefined && session === undefined && filters === undefined) return undefined;
  return {
    ...(schema !== undefined && { schema }),
    ...(filters !== undefined && { filters }),
    ...(session !== undefined && { session }),
  };
}

/** The global EntityManager does not answer, one that is forked from it does. */
function paramsOf(em: EntityManager, names: readonly string[]): Scope['filters'] {
  const own = isGlobal(em) ? em.fork() : em;
  const params = names.flatMap((name) => {
    const value: unknown = own.getFilterParams(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return params.length === 0 ? undefined : Object.fromEntries(params);
}
