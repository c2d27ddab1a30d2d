import {
  describeProperty,
  type DtoProperty,
  type FieldProperty,
  type Models,
  type ReferenceProperty,
  referenceProperty,
  type ReferencePropertyOptions,
} from '../models/reference-property.ts';
import type { EntityClass } from '../orm/entity-class.ts';
import { forgetShapes } from './shape.ts';

/**
 * Describes the properties of a DTO without decorators, or beside them:
 * `defineDto(SendInvoice, { invoice: ref(() => Invoice), note: field({ optional: true }) })`.
 */
export function defineDto<T extends object>(
  cls: new () => T,
  properties: { readonly [Name in keyof T & string]?: DtoProperty },
): void {
  for (const [name, property] of Object.entries(properties)) {
    if (property !== undefined) describeProperty(cls as EntityClass, name, property as DtoProperty);
  }
  forgetShapes();
}

/**
 * A property that holds an entity of the given class or classes; the same as `@ByReference(models, options)`.
 * @throws E_INVALID_OPTION.
 */
export const ref = (models: Models, options?: ReferencePropertyOptions): ReferenceProperty =>
  referenceProperty(models, options);

/** A property that holds anything else, as `@Expose()` declares it. */
export const field = (options: FieldProperty = {}): FieldProperty => options;
