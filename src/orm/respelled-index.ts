import { type AnyEntity, type EntityManager, type EntityMetadata, Utils } from '@mikro-orm/core';
import { rowSchemaOf } from './entity.ts';
import { type EntityStore, storeOf } from './identity-map.ts';
import { notedSchema, ownSchema } from './metadata.ts';

/** How the keys of an inheritance tree are compared. */
export interface ComparedKeys {
  /** False where MikroORM finds each managed entity by what the driver reads. */
  readonly isRespelled: boolean;
  /** A regular expression of the texts by which MikroORM finds entities, or `filedAs` does. */
  readonly asRead: string;
  canonicalOf(entity: AnyEntity): string | undefined;
  /** Of a key as the driver has it, flat. */
  canonicalOfRaw(key: readonly unknown[]): string | undefined;
  /** The texts by which MikroORM may have filed such a key, where it looks for another. */
  filedAs(key: readonly unknown[]): readonly (readonly string[])[];
}

/** A memo of what is in a store, which goes with it when the EntityManager is cleared. */
const made = new WeakMap<EntityStore, RespelledIndex>();

/**
 * The managed entities of a tree that MikroORM may not find by what the driver reads, by schema and canonical key. Which
 * these are it tells by the texts that they are filed by, so that of rows that were read no entity is looked at. Once made
 * it hears what the store takes in and gives away: of an EntityManager that manages many rows, each query would otherwise
 * look at them all for one.
 */
export class RespelledIndex {
  readonly #em: EntityManager;
  readonly #root: EntityMetadata;
  readonly #keys: ComparedKeys;
  readonly #store: EntityStore;
  readonly #asRead: RegExp;
  /** The hashes in the store that nobody has looked at: not while it takes in what may be anything, as the user has made it. */
  readonly #unseen = new Set<string>();
  /** The hashes by key, in the order in which they came. */
  readonly #hashes = new Map<string, readonly string[]>();
  /** The keys by hash. */
  readonly #filed = new Map<string, string>();

  /** The managed entity of a row by its key, where MikroORM finds none by that as the driver has it. */
  static find(
    em: EntityManager,
    root: EntityMetadata,
    keys: ComparedKeys,
    { parts, canonical }: { readonly parts: readonly unknown[]; readonly canonical: string },
    schema: string | undefined,
  ): AnyEntity | undefined {
    const store = storeOf(em, root);
    const prefix = prefixOf(em, root, schema);
    for (const texts of keys.filedAs(parts)) {
      const entity = store.get(prefix + texts.join(Utils.PK_SEPARATOR));
      // By the text of a Date two of one second are one.
      if (entity !== undefined && keys.canonicalOf(entity) === canonical) return entity;
    }
    let index = made.get(store);
    if (index === undefined) made.set(store, (index = new RespelledIndex(em, root, keys, store)));
    return index.#get(canonical, schema);
  }

  private constructor(em: EntityManager, root: EntityMetadata, keys: ComparedKeys, store: EntityStore) {
    this.#em = em;
    this.#root = root;
    this.#keys = keys;
    this.#store = store;
    this.#asRead = new RegExp(`^${prefixOf(em, root).replace(/\W/g, '\\$&')}${keys.asRead}$`);
    for (const hash of store.keys()) this.#look(hash);
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

  #get(canonical: string, schema: string | undefined): AnyEntity | undefined {
    for (const hash of this.#unseen) this.#look(hash);
    this.#unseen.clear();
    const key = this.#key(canonical, schema);
    // What has become of an entity in the meantime, nobody tells.
    const hash = this.#hashes.get(key)?.find((filed) => this.#keyOf(this.#store.get(filed)!) === key);
    return hash === undefined ? undefined : this.#store.get(hash);
  }

  #look(hash: string): void {
    if (this.#asRead.test(hash)) return;
    const key = this.#keyOf(this.#store.get(hash)!);
    if (key === undefined) return;
    this.#filed.set(hash, key);
    this.#hashes.set(key, [...(this.#hashes.get(key) ?? []), hash]);
  }

  #keyOf(entity: AnyEntity): string | undefined {
    const canonical = this.#keys.canonicalOf(entity);
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

/** What MikroORM puts before the text of a key. */
function prefixOf(em: EntityManager, root: EntityMetadata, schema = em.schema): string {
  const noted = schema ?? notedSchema(root, em.config);
  return noted === undefined ? '' : `${noted}:`;
}
