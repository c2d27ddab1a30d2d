import type { AnyEntity, Dictionary, EntityMetadata, EntityProperty, Platform } from '@mikro-orm/core';
import type { JsonArray, JsonValue } from './json.ts';
import { keyColumn, type KeyColumn } from './key-column.ts';
import { keyProperties, keyValuesOf } from './orm.ts';

/** A key read from the wire: what `find` takes, and what tells rows apart. */
export interface DatabaseKey {
  /** One value per key column, in database form. */
  readonly values: readonly unknown[];
  readonly canonical: CanonicalKey;
}

/** Equal for equal rows of one model, whatever spelling of the key they came by. */
export type CanonicalKey = string | number;

/** One column of a key, with the custom type its property may have. */
interface Leaf {
  readonly property: EntityProperty;
  readonly column: KeyColumn;
}

/** A memo: what it holds follows from its key alone. */
const made = new WeakMap<EntityMetadata, PrimaryKey>();

/** How the primary keys of one model travel: a single value as it is, a composite one as the flat list of its columns. */
export class PrimaryKey {
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
      column: keyColumn(property.columnTypes[0]!),
    }));
    this.#platform = platform;
    const [first] = metadata.primaryKeys;
    const isSimple = metadata.primaryKeys.length === 1 && metadata.properties[first!]!.kind === 'scalar';
    this.#simple = isSimple ? first : undefined;
  }

  /** How many columns the key has. */
  get width(): number {
    return this.#leaves.length;
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
    const parts: JsonArray = this.width === 1 ? [wire] : (wire as JsonArray);
    if (!Array.isArray(parts) || parts.length !== this.width) return `a key of ${this.width} parts`;
    const values: unknown[] = [];
    for (const [index, leaf] of this.#leaves.entries()) {
      const value = leaf.column.read(parts[index]!);
      const isValid = value !== undefined && this.#survivesCustomType(leaf, value);
      if (!isValid) return `${leaf.column.expected} for ${leaf.property.name}`;
      values.push(value);
    }
    return { values, canonical: this.canonical(wire) };
  }

  canonical(wire: JsonValue): CanonicalKey {
    if (this.width === 1) return this.#leaves[0]!.column.canonical(wire);
    const parts = wire as JsonArray;
    return JSON.stringify(this.#leaves.map((leaf, index) => leaf.column.canonical(parts[index]!)));
  }

  #writeLeaf(index: number, value: unknown): JsonValue | undefined {
    const { property, column } = this.#leaves[index]!;
    if (value === undefined || value === null) return undefined;
    return column.write(this.#toDatabase(property, value));
  }

  #toDatabase({ customType }: EntityProperty, value: unknown): unknown {
    return customType === undefined
      ? value
      : customType.convertToDatabaseValue(value, this.#platform, { mode: 'serialization' });
  }

  /** A key that the application's own type can't read, or reads as another one, must not reach the database. */
  #survivesCustomType({ property, column }: Leaf, value: unknown): boolean {
    if (property.customType === undefined) return true;
    try {
      const back = this.#toDatabase(property, property.customType.convertToJSValue(value, this.#platform));
      const [wire, wireBack] = [column.write(value), column.write(back)];
      return wireBack !== undefined && column.canonical(wire!) === column.canonical(wireBack);
    } catch {
      return false;
    }
  }
}
