import { type EntityProperty, type Platform, type TransformContext, Type } from '@mikro-orm/core';
import { isMysql } from '../orm/platform.ts';

/** Bytes of UTF-8 that a unit of JavaScript's text comes to at most. */
const MOST_BYTES = 3;

/** Text of which any two spellings are two values: MySQL's collations take `Order-7`, `order-7` and `order-7 ` for one. */
export class ExactText extends Type<string, string | Uint8Array> {
  override convertToDatabaseValue(value: string, platform: Platform, _context?: TransformContext): string | Uint8Array {
    return isMysql(platform) && typeof value === 'string' ? Buffer.from(value) : value;
  }

  override convertToJSValue(value: string | Uint8Array): string {
    return typeof value === 'string' ? value : Buffer.from(value).toString();
  }

  override getColumnType({ length = 255 }: EntityProperty, platform: Platform): string {
    return isMysql(platform) ? `varbinary(${MOST_BYTES * length})` : platform.getVarcharTypeDeclarationSQL({ length });
  }

  override compareAsType(): string {
    return 'string';
  }
}
