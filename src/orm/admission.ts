import {
  type AnyEntity,
  Collection,
  type Dictionary,
  type EntityManager,
  type EntityMetadata,
  helper,
  Utils,
} from '@mikro-orm/core';
import { entityIn } from './one-to-one.ts';

/** What of an EntityFactory finds the managed entity of a row. */
interface Finder {
  findEntity(data: Dictionary, metadata: EntityMetadata, options: object): AnyEntity | undefined;
}

/**
 * Which rows may come into an EntityManager: those that another one has read before, and that were not refused there.
 * Of any other row only its key comes in, where a foreign key says it.
 */
export class Admission {
  readonly #finder: Finder;
  readonly #refused: ReadonlySet<AnyEntity>;
  /** References that stand where a row was turned away. */
  readonly #away = new Set<AnyEntity>();

  constructor(reader: EntityManager, refused: ReadonlySet<AnyEntity>) {
    this.#finder = reader.getEntityFactory() as unknown as Finder;
    this.#refused = refused;
  }

  /** Whether a row must stay outside; also one that has appeared since, which nobody was asked about. */
  refuses(data: Dictionary, metadata: EntityMetadata, options: object): boolean {
    const read = this.#finder.findEntity({ ...data }, metadata, { ...options });
    return read === undefined || !helper(read).isInitialized() || this.#refused.has(read);
  }

  /** The row without the rows in it that must stay outside and that no foreign key of its own names. */
  strip(data: Dictionary, metadata: EntityMetadata, options: object): Dictionary {
    const row = { ...data };
    for (const { name, kind, owner, targetMeta } of metadata.relations) {
      const value = row[name] as unknown;
      const isRefused = (child: unknown): boolean =>
        Utils.isPlainObject(child) && this.refuses(child as Dictionary, targetMeta!, options);
      if (Array.isArray(value)) row[name] = value.filter((child) => !isRefused(child));
      else if (kind === '1:1' && owner !== true && isRefused(value)) delete row[name];
    }
    return row;
  }

  turnedAway(reference: AnyEntity): AnyEntity {
    this.#away.add(reference);
    return reference;
  }

  isAway(entity: AnyEntity): boolean {
    return this.#away.has(entity);
  }

  /**
   * Takes the rows that were turned away out of the collections that a query has filled: those that `populate`, or an
   * eager relation, leads to from the entities that it was for. Others stay as they were.
   */
  clean(entities: readonly AnyEntity[], hints: readonly string[]): void {
    if (this.#away.size === 0) return;
    const filled = new Set<Collection<AnyEntity>>();
    const seen = new Set<AnyEntity>();
    const step = (owner: AnyEntity, name: string): AnyEntity[] => {
      // What is loaded of one would put it back on the other side.
      if (this.#away.has(owner)) return [];
      const value = (owner as Dictionary)[name] as unknown;
      if (Utils.isCollection(value)) {
        filled.add(value as Collection<AnyEntity>);
        return (value as Collection<AnyEntity>).getItems(false);
      }
      const entity = entityIn(owner, name);
      return entity === undefined ? [] : [entity];
    };
    const follow = (level: ReadonlySet<AnyEntity>, [name, ...path]: readonly string[]): void => {
      for (const owner of level) {
        if (seen.has(owner)) continue;
        seen.add(owner);
        for (const { name: own, eager } of helper(owner).__meta.relations) {
          if (eager) follow(new Set(step(owner, own)), []);
        }
      }
      if (name !== undefined) follow(new Set([...level].flatMap((owner) => step(owner, name))), path);
    };
    for (const path of [[], ...hints.map((hint) => hint.split('.'))]) follow(new Set(entities), path);
    for (const collection of filled) {
      const items = collection.getItems(false);
      const kept = items.filter((item) => !this.#away.has(item));
      // One that is not loaded would count as loaded.
      if (kept.length < items.length && collection.isInitialized()) collection.hydrate(kept, true);
    }
  }
}
