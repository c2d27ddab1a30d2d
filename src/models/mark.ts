import type { EntityMetadata, FilterOptions } from '@mikro-orm/core';
import type { EntityClass } from '../orm/entity-class.ts';
import type { MissingPolicy } from './per-model.ts';

/** How a class travels; every member has a default. */
export interface ByReferenceOptions {
  /**
   * The name on the wire. It outlives renames of the class and minifiers.
   * @defaultValue MikroORM's name of the entity
   */
  readonly name?: string;
  /**
   * Names that payloads of earlier releases carry and that still mean this class.
   * @defaultValue none
   */
  readonly aliases?: readonly string[];
  /**
   * What `JSON.stringify` writes for an entity: true its token, false what MikroORM or the class itself wrote before
   * (REST responses stay as they are; only this library's own calls use tokens). A class with a toJSON of its own must
   * choose.
   * @defaultValue true
   */
  readonly toJSON?: boolean;
  /**
   * The integer or date property that changes with each update, for drift.
   * @defaultValue MikroORM's version property
   */
  readonly version?: string;
  /**
   * What stands for a row of this class that is gone.
   * @defaultValue what the call or the serializer says
   */
  readonly missing?: MissingPolicy;
  /**
   * Relations to load with the entity, as in `em.find`.
   * @defaultValue none
   */
  readonly populate?: readonly string[];
  /**
   * Filters to switch, as in `em.find`.
   * @defaultValue the application's own
   */
  readonly filters?: FilterOptions;
}

const OPTIONS = Symbol.for('mikro-orm-byref.options');

interface MarkedClass {
  readonly [OPTIONS]?: ByReferenceOptions;
}

/** Writes on a class that it travels by reference, and how. */
export function mark(cls: EntityClass, options: ByReferenceOptions): void {
  Object.defineProperty(cls, OPTIONS, { value: options, configurable: true });
}

/** True for a class that is marked itself, not by a base class. */
export const isMarked = (cls: object): boolean => Object.hasOwn(cls, OPTIONS);

/** The options of a class, those of its base classes included but for their names; undefined when nothing is marked. */
export function markOf(cls: EntityClass): ByReferenceOptions | undefined {
  const own = isMarked(cls) ? (cls as MarkedClass)[OPTIONS] : undefined;
  const base: unknown = Object.getPrototypeOf(cls);
  const inherited = typeof base === 'function' && base !== Function.prototype ? markOf(base as EntityClass) : undefined;
  if (inherited === undefined) return own;
  const { name: _name, aliases: _aliases, ...shared } = inherited;
  return { ...shared, ...own };
}

/** The name that a class declares. */
export const declaredNameOf = ({ class: cls }: EntityMetadata): string | undefined =>
  markOf(cls as unknown as EntityClass)?.name;

/**
 * The name of a model on the wire, in messages and in keys: the declared one, else MikroORM's for the entity. That is
 * not always the class's: `defineEntity({ name: 'User' })` may have been told to `setClass(UserEntity)`.
 */
export const wireNameOf = (metadata: EntityMetadata): string => declaredNameOf(metadata) ?? metadata.className;
