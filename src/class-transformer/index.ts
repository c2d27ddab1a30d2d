/**
 * DTOs that give payloads a schema, and value objects, by class-transformer.
 *
 * @module mikro-orm-byref/class-transformer
 * @packageDocumentation
 */
export { ByReference } from '../models/by-reference.ts';
export { ByValue } from './by-value.ts';
export { defineDto, field, ref } from './dto.ts';
export type {
  DtoProperty,
  FieldProperty,
  Models,
  ReferenceProperty,
  ReferencePropertyOptions,
} from '../models/reference-property.ts';
export type { PlainClass } from './shape.ts';

import { checkDto, decodeAs } from './decode-as.ts';
import { provideDtoReader } from './dto-reader.ts';

provideDtoReader({ checkDto, decodeAs });
