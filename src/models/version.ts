import type { AnyEntity, Dictionary, EntityMetadata, EntityProperty, Platform } from '@mikro-orm/core';
import { types } from 'node:util';
import { ByReferenceError } from '../errors.ts';
import { modifiersOf } from '../keys/key-column.ts';
import { storedValue } from '../orm/entity.ts';
import { isMysql } from '../orm/platform.ts';

/** The property that dates a model's rows: an integer that grows, or a date. */
export class VersionProperty {
  /** The property's name: `updatedAt`. */
  readonly name: string;
  /** Whether it is a date; else it is an integer. */
  readonly isDate: boolean;
  /** Not to be shown to people. */
  readonly isHidden: boolean;
  /** Milliseconds that the column can't tell apart: `timestamp(0)` keeps whole seconds. */
  readonly #resolution: number;
  /** MariaDB cuts what a column has no room for, MySQL rounds it. */
  readonly #isCut: boolean;

  /**
   * The version property that a model's mark names, or MikroORM's own; undefined where there is none, and where that of
   * a class that is not marked can't date a row. Throws E_INVALID_OPTION for one that can't of a class that is.
   */
  static of(
    metadata: EntityMetadata,
    mark: { readonly version?: string } | undefined,
    platform: Platform,
  ): VersionProperty | undefined {
    const name = mark?.version ?? metadata.versionProperty;
    if (name === undefined) return undefined;
    const property = metadata.properties[name as never] as EntityProperty | undefined;
    if (property === undefined) {
      const expected = `an integer or date property of ${metadata.className}`;
      throw ByReferenceError.invalidOption('@ByReference option version', expected, name);
    }
    const type = property.customType?.runtimeType ?? property.runtimeType;
    if (type === 'number' || type === 'Date')
      return new VersionProperty(name, type === 'Date', property, isMysql(platform));
    if (mark === undefined) return undefined;
    throw ByReferenceError.invalidOption(...undating(metadata, property));
  }

  private constructor(name: string, isDate: boolean, property: EntityProperty, isOnMysql: boolean) {
    // MySQL's own default is none.
    const precision =
      property.precision ??
      property.length ??
      (isOnMysql ? (modifiersOf(property.columnTypes[0]!)[0] ?? 0) : undefined);
    this.#isCut = isOnMysql;
    this.name = name;
    this.isDate = isDate;
    this.isHidden = property.hidden === true;
    this.#resolution = isDate && precision !== undefined && precision < 3 ? 10 ** (3 - precision) : 1;
  }

  /**
   * The version of the row as stored, whatever has been changed in memory since; where an entity keeps the version that
   * its changes are based on, from the columns that were read.
   */
  read(entity: AnyEntity, columns?: Dictionary): number | Date | undefined {
    const value: unknown = columns === undefined ? storedValue(entity, this.name) : columns[this.name];
    if (!this.isDate) return Number.isSafeInteger(value) ? (value as number) : undefined;
    const isInstant = types.isDate(value) || typeof value === 'string' || typeof value === 'number';
    const instant = isInstant ? new Date(value as Date | string | number) : undefined;
    return instant === undefined || Number.isNaN(instant.getTime()) ? undefined : instant;
  }

  /** Positive when `current` is newer, negative when it is older, 0 when the column can't tell them apart. */
  compare(current: number | Date, serialized: number | Date): number {
    if (this.#isCut && Math.abs(Number(current) - Number(serialized)) < this.#resolution) return 0;
    return this.#ticks(current) - this.#ticks(serialized);
  }

  /** Databases round to the column's precision when they store what JavaScript held in milliseconds. */
  #ticks(version: number | Date): number {
    return Math.round(Number(version) / this.#resolution);
  }
}

/** What to do about a model without a version property, so that its rows can be dated. */
export function datingAdvice(metadata: EntityMetadata): string {
  const own = metadata.versionProperty;
  if (own === undefined) return 'name the property that dates its rows with @ByReference({ version })';
  const [property, expected] = undating(metadata, metadata.properties[own as never] as EntityProperty);
  return `declare the ${property} as ${expected}`;
}

/** reflect-metadata sees no type behind `Opt<number>`, and MikroORM takes such a property for one of any type. */
function undating({ className }: EntityMetadata, { name, type }: EntityProperty): [string, string, string] {
  const expected =
    "an integer or a date, outright, as reflect-metadata sees no type behind Opt<…>: @Property({ type: 'integer' })";
  return [`version property ${className}.${name}`, expected, type];
}
