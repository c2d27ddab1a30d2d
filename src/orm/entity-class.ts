import { type Check, isFunction, isListOf, isObject } from '../check.ts';

/** A class that entities are instances of, abstract ones included. */
export type EntityClass<T extends object = object> = abstract new (...args: never[]) => T;

/** An `EntitySchema`, or what `defineEntity` returns; its class is the one that instances have. */
export interface SchemaLike {
  readonly meta: { readonly class: unknown };
}

export const classes: Check = [
  'an array of entity classes',
  isListOf((item) => isFunction(item) || isObject((item as SchemaLike | null)?.meta)),
];

/** The class behind what MikroORM takes as an entity name, or undefined. */
export function classOf(target: unknown): EntityClass | undefined {
  const cls = typeof target === 'function' ? target : (target as Partial<SchemaLike> | null)?.meta?.class;
  return typeof cls === 'function' ? (cls as EntityClass) : undefined;
}

/** True for the class that MikroORM 7 makes for a schema which has none: without a name in its text, and empty. */
export const isGenerated = (cls: EntityClass): boolean =>
  cls.name !== '' && /^class\s*(?:extends\s+[\w$]+\s*)?\{\s*\}$/.test(Function.prototype.toString.call(cls));
