import {
  type AnyEntity,
  BigIntType,
  type Dictionary,
  type EntityMetadata,
  type EntityProperty,
  type Platform,
  UuidType,
} from '@mikro-orm/core';
import { keyValuesOf } from '../orm/entity.ts';
import { keyProperties } from '../orm/metadata.ts';
import { isSqlite } from '../orm/platform.ts';
import type { JsonArray, JsonValue } from '../wire/json.ts';
import { type KeyColumn, keyColumn } from './key-column.ts';
import { sqliteKeyColumn } from './sqlite-key-column.ts';

/** A key read from the wire: what `find` takes, and what tells rows apart. */
export interface DatabaseKey {
  /** In database form: the value of a single column, or one value per column. */
  readonly value: unknown;
  readonly canonical: CanonicalKey;
}

/** Equal for equal rows of one model, whatever spelling of the key they came by. */
export type CanonicalKey = string | number;

/** One column of a key, with the custom type its property may have. */
interface Leaf {
  readonly property: EntityProperty;
  readonly column: KeyColumn;
}

const CONVERSION = { mode: 'serialization' } as const;

const OWN_TYPES: ReadonlySet<unknown> = new Set([BigIntType, UuidType]);

/** A memo: what it holds follows from its key alone. */
const made = new WeakMap<EntityMetadata, PrimaryKey>();

/** How the primary keys of one model travel: a single value as it is, a composite one as the flat list of its columns. */
export class PrimaryKey {
  /** How many columns the key has. */
  readonly width: number;
  readonly #leaves: readonly Leaf[];
  readonly #platform: Platform;
  /** Set where the key is one plain property, which can be read without asking MikroORM. */
  readonly #simple: string | undefined;

  /** The key of a model; made once, because toJSON has no serializer to keep it. */
  static of(metadata: EntityMetadata, platform: Platform): PrimaryKey {
    let key = made.get(metadata);
    if (key === undefined) made.set(metadata, (key = new PrimaryKey(metadata, platform)));
    return key;
  }

  private constructor(metadata: EntityMetadata, platform: Platform) {
    this.#leaves = keyProperties(metadata).map((property) => ({
      property,
      column: isSqlite(platform) ? sqliteKeyColumn(property) : keyColumn(property.columnTypes[0]!),
    }));
    this.width = this.#leaves.length;
    this.#platform = platform;
    const [first] = metadata.primaryKeys;
    const isSimple = metadata.primaryKeys.length === 1 && metadata.properties[first!]!.kind === 'scalar';
    this.#simple = isSimple ? first : undefined;
  }

  /** What a key is on the wire, for error messages. */
  get expected(): string {
    return this.#leaves.map((_, index) => this.#expected(index)).join(', ');
  }

  /** The wire form of an entity's key, or undefined when a part of it is missing or out of its column's range. */
  write(entity: AnyEntity): JsonValue | undefined {
    if (this.#simple !== undefined) return this.#writeLeaf(0, (entity as Dictionary)[this.#simple]);
    const values = keyValuesOf(entity);
    const wire = this.#leaves.map((_, index) => this.#writeLeaf(index, values[index]));
    if (wire.includes(undefined)) return undefined;
    return this.width === 1 ? wire[0] : (wire as JsonArray);
  }

  /** Reads a key from the wire, or returns what was expected where it is not one of this model. */
  read(wire: JsonValue): DatabaseKey | string {
    if (this.width === 1) {
      const value = this.#readLeaf(0, wire);
      return value === undefined ? this.#expected(0) : { value, canonical: this.canonical(wire) };
    }
    if (!Array.isArray(wire) || wire.length !== this.width) return `a key of ${this.width} parts`;
    const values = (wire as JsonArray).map((part, index) => this.#readLeaf(index, part));
    const bad = values.indexOf(undefined);
    return bad >= 0 ? this.#expected(bad) : { value: values, canonical: this.canonical(wire) };
  }

  canonical(wire: JsonValue): CanonicalKey {
    if (this.width === 1) return this.#leaves[0]!.column.canonical(wire);
    const parts = wire as JsonArray;
    return JSON.stringify(this.#leaves.map((leaf, index) => leaf.column.canonical(parts[index]!)));
  }

  /** The canonical key of an entity, or undefined where `write` has none. */
  canonicalOf(entity: AnyEntity): CanonicalKey | undefined {
    const wire = this.write(entity);
    return wire === undefined ? undefined : this.canonical(wire);
  }

  /** The key of an entity in database form. */
  databaseKeyOf(entity: AnyEntity): unknown {
    const wire = this.write(entity);
    const key = wire === undefined ? undefined : this.read(wire);
    return typeof key === 'string' ? undefined : key?.value;
  }

  #writeLeaf(index: number, value: unknown): JsonValue | undefined {
    const { property, column } = this.#leaves[index]!;
    if (value === undefined || value === null) return undefined;
    return column.write(toDatabase(property, value, this.#platform));
  }

  #readLeaf(index: number, wire: JsonValue): unknown {
    const { property, column } = this.#leaves[index]!;
    const value = column.read(wire);
    return value === undefined || survivesCustomType(property, column, value, this.#platform) ? value : undefined;
  }

  #expected(index: number): string {
    const { property, column } = this.#leaves[index]!;
    return `${column.expected} for ${property.name}`;
  }
}

/** A key that the application's own type can't read, or reads as another one, must not reach the database. */
function survivesCustomType(property: EntityProperty, column: KeyColumn, value: unknown, platform: Platform): boolean {
  // MikroORM's own types read every value of their columns.
  if (property.customType === undefined || OWN_TYPES.has(property.customType.constructor)) return true;
  try {
    const back = toDatabase(property, property.customType.convertToJSValue(value, platform), platform);
    const [wire, wireBack] = [column.write(value), column.write(back)];
    return wireBack !== undefined && column.canonical(wire!) === column.canonical(wireBack);
  } catch {
    return false;
  }
}

function toDatabase({ customType }: EntityProperty, value: unknown, platform: Platform): unknown {
  return customType === undefined ? value : customType.convertToDatabaseValue(value, platform, CONVERSION);
}
