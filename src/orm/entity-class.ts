import { type EntityMetadata, EntitySchema } from '@mikro-orm/core';
import { type Check, isFunction, isListOf, isObject } from '../check.ts';

/** A class that entities are instances of, abstract ones included. */
export type EntityClass<T extends object = object> = abstract new (...args: never[]) => T;

/** An `EntitySchema`, or what `defineEntity` returns; its class is the one that instances have. */
export interface SchemaLike {
  /** What MikroORM knows of it. */
  readonly meta: { readonly class: unknown };
}

/** What names the entities of one class: the class itself, an `EntitySchema`, or what `defineEntity` returns. */
export type EntityType = EntityClass | SchemaLike;

/** The entities that an `EntityType` names. */
export type EntityOf<Type> =
  Type extends EntityClass<infer Entity>
    ? Entity
    : Type extends { readonly meta: EntityMetadata<infer Entity> }
      ? Extract<Entity, object>
      : never;

export const classes: Check = [
  'an array of entity classes or schemas, not of names',
  isListOf((item) => isFunction(item) || isObject((item as SchemaLike | null)?.meta)),
];

/** MikroORM's name of what it takes as an entity name, or undefined. */
export function entityNameOf(target: unknown): string | undefined {
  if (typeof target === 'function') return target.name;
  return (target as { meta?: { className?: string } } | null)?.meta?.className;
}

/** True for an instance of what names a class; a hot reload may have imported that anew since. */
export function isInstanceOf(entity: object, type: unknown): boolean {
  const cls = classOf(type);
  if (cls !== undefined && entity instanceof cls) return true;
  const name = cls?.name ?? entityNameOf(type);
  let own: unknown = entity.constructor;
  while (typeof own === 'function' && own.name !== name) own = Object.getPrototypeOf(own);
  return typeof own === 'function' && own.name !== '';
}

/** The class behind what MikroORM takes as an entity name, or undefined. */
export function classOf(target: unknown): EntityClass | undefined {
  const cls = typeof target === 'function' ? target : (target as Partial<SchemaLike> | null)?.meta?.class;
  return typeof cls === 'function' ? (cls as EntityClass) : undefined;
}

/**
 * The class behind what MikroORM takes as an entity name, before it has discovered it: a schema without a class gets
 * one as MikroORM 6 would give it then; 7 has given it already.
 */
export function declaredClassOf(target: unknown): EntityClass | undefined {
  const cls = classOf(target);
  if (cls !== undefined || !(target instanceof EntitySchema)) return cls;
  const name = target.meta.className;
  target.setClass({ [name]: class {} }[name]!);
  return classOf(target);
}

/** True for the class that MikroORM 7 makes for a schema which has none: without a name in its text, and empty. */
export const isGenerated = (cls: EntityClass): boolean =>
  cls.name !== '' && /^class\s*(?:extends\s+[\w$]+\s*)?\{\s*\}$/.test(Function.prototype.toString.call(cls));
