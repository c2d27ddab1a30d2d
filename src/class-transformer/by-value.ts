import { ByReferenceError } from '../errors.ts';
import { markValue, type ValueClass } from '../models/value-registry.ts';
import { checkReferences } from './check-dto.ts';
import { fromPlain, toPlain } from './plain.ts';
import type { PlainClass } from './shape.ts';

/**
 * Makes a class a value object: its instances travel as `{"$value":["Money",{…}]}` and come back as instances, with the
 * properties that class-transformer's `@Expose`, `@Type` and `@Transform` declare; entities in them are tokens on the
 * way. List the class in `new EntitySerializer(orm, { values: [Money] })`. The constructor is called without arguments.
 *
 * A decorator, legacy or TC39, or a plain call: `ByValue('Money')(Money)`.
 * @throws E_INVALID_OPTION for an empty name.
 */
export function ByValue(name: string): (cls: ValueClass, context?: unknown) => void {
  if (typeof name !== 'string' || name === '') throw ByReferenceError.invalidOption('name of @ByValue', 'a name', name);
  return (cls) => {
    if (typeof cls !== 'function') throw ByReferenceError.invalidOption('target of @ByValue', 'a class', cls);
    markValue(cls, name, {
      encode: toPlain,
      decode: (data) => fromPlain(cls as PlainClass, data),
      check: (json, at, places) => checkReferences(cls as PlainClass, json, at, places),
    });
  };
}
