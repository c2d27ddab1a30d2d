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

/**
 * The managed entities of a tree that MikroORM may not find by what the driver reads, by schema and canonical key. Once
 * made it hears what the store takes in and gives away: of an EntityManager that manages many rows, each query would
 * otherwise look at them all for one.
 */
export class RespelledIndex {
  readonly #em: EntityManager;
  readonly #root: EntityMetadata;
  readonly #keys: ComparedKeys;
  readonly #store: EntityStore;
  /** The hashes in the store that nobody has looked at: not while it takes in what may be anything, as the user has made it. */
  readonly #unseen = new Set<string>();
  /** The hashes by key, in the order in which they came. */
  readonly #hashes = new Map<string, readonly string[]>();
  /** The keys by hash. */
  readonly #filed = new Map<string, string>();

  static of(em: EntityManager, root: EntityMetadata, keys: ComparedKeys): RespelledIndex {
    const store = storeOf(em, root);
    let index = made.get(store);
    if (index === undefined) made.set(store, (index = new RespelledIndex(em, root, keys, store)));
    return index;
  }

  private constructor(em: EntityManager, root: EntityMetadata, keys: ComparedKeys, store: EntityStore) {
    this.#em = em;
    this.#root = root;
    this.#keys = keys;
    this.#store = store;
    for (const [hash, entity] of store) this.#look(hash, entity);
    const { set, delete: remove } = store;
    store.set = (hash, entity) => {
      if (store.get(hash) !== entity) {
        this.#forget(hash);
        this.#unseen.add(hash);
      }
      return set.call(store, hash, entity);
    };
    store.delete = (hash) => {
      this.#forget(hash);
      return remove.call(store, hash);
    };
  }

  get(canonical: string, schema: string | undefined): AnyEntity | undefined {
    for (const hash of this.#unseen) this.#look(hash, this.#store.get(hash)!);
    this.#unseen.clear();
    const key = this.#key(canonical, schema);
    // What has become of an entity in the meantime, nobody tells.
    const hash = this.#hashes.get(key)?.find((filed) => this.#keyOf(this.#store.get(filed)!) === key);
    return hash === undefined ? undefined : this.#store.get(hash);
  }

  #look(hash: string, entity: AnyEntity): void {
    const key = this.#keyOf(entity);
    if (key === undefined) return;
    this.#filed.set(hash, key);
    this.#hashes.set(key, [...(this.#hashes.get(key) ?? []), hash]);
  }

  #keyOf(entity: AnyEntity): string | undefined {
    const canonical = this.#keys.isAsRead(entity) ? undefined : this.#keys.canonicalOf(entity);
    return canonical && this.#key(canonical, rowSchemaOf(entity));
  }

  #forget(hash: string): void {
    this.#unseen.delete(hash);
    const key = this.#filed.get(hash);
    if (key === undefined) return;
    this.#filed.delete(hash);
    const others = this.#hashes.get(key)!.filter((other) => other !== hash);
    if (others.length > 0) this.#hashes.set(key, others);
    else this.#hashes.delete(key);
  }

  #key(canonical: string, schema: string | undefined): string {
    return JSON.stringify([schema ?? this.#em.schema ?? ownSchema(this.#root, this.#em.config), canonical]);
  }
}
