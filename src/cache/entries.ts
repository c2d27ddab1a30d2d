import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ambientContext, isOf } from '../orm/context.ts';
import { filterNames, scopeOf } from '../orm/scope.ts';
import { entryKey } from './cache-key.ts';
import type { Scoped } from './options.ts';

/** Where an entry is kept, and by whose schema, filters and transaction its value is made. */
export interface Place {
  readonly key: string;
  readonly context: EntityManager;
}

/** Finds the place of an entry: by its key, and by what tells one tenant's value from another's. */
export class Entries {
  readonly #serializer: EntitySerializer;
  readonly #filterNames: readonly (readonly string[])[];

  constructor(serializer: EntitySerializer) {
    this.#serializer = serializer;
    this.#filterNames = serializer.orms.map((orm) => filterNames(orm));
  }

  /** Throws E_UNSERIALIZABLE and its like for a key or a scope that is no text. */
  place(key: unknown, { scope, em = this.#serializer.orm.em }: Scoped): Place {
    const context = ambientContext(em) ?? em;
    return {
      key: entryKey(this.#serializer, key, scope === undefined ? this.#scopeOf(context) : given(scope)),
      context,
    };
  }

  #scopeOf(em: EntityManager): unknown {
    const index = this.#serializer.orms.findIndex((orm) => isOf(em, orm));
    return scopeOf(em, this.#filterNames[index] ?? []);
  }
}

/** Null is the scope of all; a list is none that an EntityManager has. */
const given = (scope: unknown): unknown => (scope === null ? undefined : [scope]);
