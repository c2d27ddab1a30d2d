import type { AnyEntity, EntityManager, EntityMetadata } from '@mikro-orm/core';
import { rowSchemaOf } from './entity.ts';
import { type EntityStore, storeOf } from './identity-map.ts';
import { ownSchema } from './metadata.ts';

/** How the keys of an inheritance tree are compared. */
export interface ComparedKeys {
  /** False where MikroORM finds each managed entity by what the driver reads. */
  readonly isRespelled: boolean;
  /** True for an entity that MikroORM does find. */
  isAsRead(entity: AnyEntity): boolean;
  canonicalOf(entity: AnyEntity): string | undefined;
  /** Of a key as the driver has it, flat. */
  canonicalOfRaw(key: readonly unknown[]): string | undefined;
  /** The Date that MikroORM makes of a key, where that is all of it. */
  dateOf(key: readonly unknown[]): Date | undefined;
}

/** A memo of what is in a store, which goes with it when the EntityManager is cleared. */
const made = new WeakMap<EntityStore, RespelledIndex>();

export const keyIn = (schema: string | undefined, canonical: string): string => JSON.stringify([schema, canonical]);

/**
 * The managed entities of a tree that MikroORM may not find by what the driver reads, by schema and canonical key. Kept
 * from query to query: of an EntityManager that manages many rows, each would otherwise look at them all for one.
 */
export class RespelledIndex {
  readonly #root: EntityMetadata;
  readonly #keys: ComparedKeys;
  /** What has been looked at, in the order of the store, whose new entities come last. */
  #known: AnyEntity[] = [];
  readonly #byKey = new Map<string, AnyEntity>();

  static of(em: EntityManager, root: EntityMetadata, keys: ComparedKeys): RespelledIndex {
    const store = storeOf(em, root);
    let index = made.get(store);
    if (index === undefined) made.set(store, (index = new RespelledIndex(root, keys)));
    index.update(em);
    return index;
  }

  private constructor(root: EntityMetadata, keys: ComparedKeys) {
    this.#root = root;
    this.#keys = keys;
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  get(key: string): AnyEntity | undefined {
    return this.#byKey.get(key);
  }

  /** Looks at what has come since; at all where something has gone. */
  update(em: EntityManager): void {
    const known = this.#known;
    let at = 0;
    for (const entity of storeOf(em, this.#root).values()) {
      if (at === known.length) this.#add(entity, em);
      else if (known[at] !== entity) break;
      at++;
    }
    if (at === known.length) return;
    this.#known = [];
    this.#byKey.clear();
    this.update(em);
  }

  #add(entity: AnyEntity, em: EntityManager): void {
    this.#known.push(entity);
    const canonical = this.#keys.isAsRead(entity) ? undefined : this.#keys.canonicalOf(entity);
    if (canonical === undefined) return;
    const key = keyIn(rowSchemaOf(entity) ?? em.schema ?? ownSchema(this.#root, em.config), canonical);
    if (!this.#byKey.has(key)) this.#byKey.set(key, entity);
  }
}
