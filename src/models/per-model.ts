import { type Check, oneOf } from '../check.ts';

/**
 * What stands for a row that is gone, hidden by a filter, or no longer an instance of the named class:
 * - `throw`: E_ENTITY_NOT_FOUND with all missing tokens
 * - `null`: null in its place
 * - `omit`: nothing; its array element, Set or Map entry or object key is dropped
 */
export type MissingPolicy = 'throw' | 'null' | 'omit';

/** A value per model, by wire name; a base class's entry serves the subclasses that have none. */
export type PerModel<T> = { readonly [model: string]: T };

export const aMissingPolicy: Check = oneOf('throw', 'null', 'omit');

export const aFilter: Check = [
  'what em.find takes',
  (value) => typeof value === 'boolean' || typeof value === 'string' || typeof value === 'object',
];
