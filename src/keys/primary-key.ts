import {
  type AnyEntity,
  BigIntType,
  type Dictionary,
  type EntityMetadata,
  type EntityProperty,
  type Platform,
  Utils,
  UuidType,
} from '@mikro-orm/core';
import { keyValuesOf } from '../orm/entity.ts';
import { keyProperties } from '../orm/metadata.ts';
import { isMysql, isPostgres, isSqlite } from '../orm/platform.ts';
import { storedKeyOf, storedPart } from '../orm/stored-key.ts';
import type { JsonArray, JsonValue } from '../wire/json.ts';
import { ANY, isNamed, type KeyColumn } from './key-column.ts';
import { declaredKeyColumn, whyUndeclared } from './declared-key-column.ts';
import { mysqlKeyColumn, whyRefusedByMysql } from './mysql-key-column.ts';
import { postgresKeyColumn, whyRefused } from './postgres-key-column.ts';
import { sqliteKeyColumn } from './sqlite-key-column.ts';

/** A key read from the wire: what `find` takes, and what tells rows apart. */
export interface DatabaseKey {
  /** In database form: the value of a single column, or one value per column. */
  readonly value: unknown;
  /** As it travels: `1`, `[7,"a"]`. */
  readonly wire: JsonValue;
  /** What tells its row from others. */
  readonly canonical: CanonicalKey;
}

/**
 * Equal for equal rows of one model, whatever spelling of the key they came by: `k:7`, `k:["de",7]`. Never a number, nor
 * text that reads as one: V8 hashes both by their value, so a payload could make them meet in one bucket.
 */
export type CanonicalKey = string;

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
  /** Two spellings that are not equal here may be one row: only the database knows. */
  readonly asks: boolean;
  /** The database may refuse a key that has been read from the wire, and with it a transaction. */
  readonly isUnchecked: boolean;
  /** A row may have another spelling in memory than what the driver reads of it. */
  readonly isRespelled: boolean;
  /** The texts of keys, as a regular expression, by which MikroORM finds entities, or `filedAs` does. */
  readonly asRead: string;
  /** Why no key of this model travels. */
  readonly refusal: string | undefined;
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
    const columns = columnsOf(platform);
    this.#leaves = keyProperties(metadata).map((property) => ({
      property,
      column: columns.of(property, isForeign(property, metadata)),
    }));
    this.width = this.#leaves.length;
    this.asks = this.#leaves.some(({ column }) => column.asks);
    this.isUnchecked = this.#leaves.some(({ column }) => column.unchecked);
    this.isRespelled = this.#leaves.some(({ column }) => column.asRead !== undefined);
    this.asRead = this.#leaves.map(({ column }) => column.asRead ?? ANY).join(Utils.PK_SEPARATOR);
    this.refusal = refusalOf(this.#leaves, metadata, columns);
    this.#platform = platform;
    const [first] = metadata.primaryKeys;
    const isSimple = metadata.primaryKeys.length === 1 && metadata.properties[first!]!.kind === 'scalar';
    this.#simple = isSimple ? first : undefined;
  }

  /** The types of the columns: `boolean` and `enum`, or as SQL has them. */
  get types(): readonly string[] {
    return this.#leaves.map(
      ({ property }) => typeOf(property) + (isUnsigned(property, this.#platform) ? ' unsigned' : ''),
    );
  }

  /** What a key is on the wire, for error messages. */
  get expected(): string {
    return this.#leaves.map((_, index) => this.#expected(index)).join(', ');
  }

  /**
   * The wire form of the key of an entity's row: the stored one, where the entity has a row. Undefined when a part of it
   * is missing or out of its column's range.
   */
  write(entity: AnyEntity): JsonValue | undefined {
    if (this.refusal !== undefined) return undefined;
    return this.#writeStored(entity) ?? this.#writeHeld(entity);
  }

  /** True when the entity has another key now than its row, which no flush has written. */
  isChanged(entity: AnyEntity): boolean {
    if (this.#isAsStored(entity)) return false;
    const before = this.#writeStored(entity);
    if (before === undefined) return false;
    const now = this.#writeHeld(entity);
    return now === undefined || this.canonical(before) !== this.canonical(now);
  }

  /** Reads a key from the wire, or returns what was expected where it is not one of this model. */
  read(wire: JsonValue): DatabaseKey | string {
    if (this.refusal !== undefined) return `a key that tokens can name, and ${this.refusal}`;
    if (this.width === 1) {
      const value = this.#readLeaf(0, wire);
      return value === undefined ? this.#expected(0) : { value, wire, canonical: this.canonical(wire) };
    }
    if (!Array.isArray(wire) || wire.length !== this.width) return `a key of ${this.width} parts`;
    const values = (wire as JsonArray).map((part, index) => this.#readLeaf(index, part));
    const bad = values.indexOf(undefined);
    return bad >= 0 ? this.#expected(bad) : { value: values, wire, canonical: this.canonical(wire) };
  }

  /** Whether a part of a key is read from the wire. */
  readsPart(index: number, wire: JsonValue): boolean {
    return this.refusal === undefined && this.#readLeaf(index, wire) !== undefined;
  }

  /** Whether a row that the driver has so is the one that the wire form of a part names. */
  isPart(index: number, raw: unknown, wire: JsonValue): boolean {
    return isNamed(this.#leaves[index]!.column, raw, wire);
  }

  /** What MikroORM makes of a part that is an instant. */
  heldAs(index: number): 'Date' | 'string' {
    return isDate(this.#leaves[index]!) ? 'Date' : 'string';
  }

  /** A key as `read` took it, as properties without types of their own hold it. */
  held({ wire, value }: DatabaseKey): unknown {
    const heldBy = (index: number, part: JsonValue, read: unknown): unknown =>
      this.#leaves[index]!.column.held?.(part) ?? read;
    if (this.width === 1) return heldBy(0, wire, value);
    return (wire as JsonArray).map((part, index) => heldBy(index, part, (value as unknown[])[index]));
  }

  /** What tells the row of a key from others, whatever spelling the key came by. */
  canonical(wire: JsonValue): CanonicalKey {
    if (this.width === 1) return `k:${this.#leaves[0]!.column.canonical(wire)}`;
    const parts = wire as JsonArray;
    return `k:${JSON.stringify(this.#leaves.map((leaf, index) => leaf.column.canonical(parts[index]!)))}`;
  }

  /** The canonical key of an entity's row, or undefined where `write` has none. */
  canonicalOf(entity: AnyEntity): CanonicalKey | undefined {
    const wire = this.write(entity);
    return wire === undefined ? undefined : this.canonical(wire);
  }

  /** The canonical form of a key as the driver has it, flat. */
  canonicalOfRaw(values: readonly unknown[]): CanonicalKey | undefined {
    const wire = this.#join(this.#leaves.map(({ column }, index) => column.write(values[index])));
    return wire === undefined ? undefined : this.canonical(wire);
  }

  /** The texts, part by part, by which MikroORM may have filed a key as the driver has it, where it looks for another. */
  filedAs(values: readonly unknown[]): readonly (readonly string[])[] {
    if (this.#leaves.every(({ column }) => column.filedAs === undefined)) return [];
    return this.#leaves.reduce<readonly (readonly string[])[]>(
      (keys, { column }, index) => {
        const wire = column.write(values[index]);
        const texts = (wire !== undefined && column.filedAs?.(wire)) || [String(values[index])];
        return keys.flatMap((key) => texts.map((text) => [...key, text]));
      },
      [[]],
    );
  }

  /** The canonical form of a key by its spelling in the database, flat and as the driver has it. */
  respelled({ wire }: DatabaseKey, stored: readonly unknown[]): CanonicalKey | undefined {
    const given = this.width === 1 ? [wire] : (wire as JsonArray);
    // What is equal has one canonical form where the database need not be asked.
    const parts = this.#leaves.map(({ column }, index) => (column.asks ? column.write(stored[index]) : given[index]));
    const respelled = this.#join(parts);
    return respelled === undefined ? undefined : this.canonical(respelled);
  }

  /** True where the property holds what the row has, in the same form; and of a reference, which has nothing to tell a change by. */
  #isAsStored(entity: AnyEntity): boolean {
    if (this.#simple === undefined) return false;
    const stored = storedPart(entity, this.#simple);
    if (stored === undefined) return true;
    const held = (entity as Dictionary)[this.#simple] as unknown;
    if (held === undefined || held === null) return false;
    return toDatabase(this.#leaves[0]!.property, held, this.#platform) === stored;
  }

  #writeStored(entity: AnyEntity): JsonValue | undefined {
    if (this.#simple !== undefined) {
      const part = storedPart(entity, this.#simple);
      return part === undefined ? undefined : this.#leaves[0]!.column.write(part);
    }
    const stored = storedKeyOf(entity);
    if (stored?.length !== this.width) return undefined;
    return this.#join(this.#leaves.map(({ column }, index) => column.write(stored[index])));
  }

  #writeHeld(entity: AnyEntity): JsonValue | undefined {
    if (this.#simple !== undefined) return this.#writeLeaf(0, (entity as Dictionary)[this.#simple]);
    const values = keyValuesOf(entity);
    return this.#join(this.#leaves.map((_, index) => this.#writeLeaf(index, values[index])));
  }

  #join(parts: readonly (JsonValue | undefined)[]): JsonValue | undefined {
    if (parts.includes(undefined)) return undefined;
    return this.width === 1 ? parts[0] : (parts as JsonArray);
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
    const leaf = this.#leaves[index]!;
    const value = leaf.column.read(wire);
    return value === undefined || survivesCustomType(leaf, wire, value, this.#platform) ? value : undefined;
  }

  #expected(index: number): string {
    const { property, column } = this.#leaves[index]!;
    return `${column.expected} for ${property.name}`;
  }
}

const isDate = ({ property }: Leaf): boolean => property.runtimeType === 'Date';

/** How keys of a type travel that `types` has named. */
export function columnOfType(type: string, held: 'Date' | 'string', platform: Platform): KeyColumn {
  const property = { columnTypes: [type], runtimeType: type === 'boolean' ? type : held } as EntityProperty;
  const nativeEnumName = type === 'enum' ? type : undefined;
  return columnsOf(platform).of({ ...property, nativeEnumName } as EntityProperty, false);
}

function typeOf({ columnTypes, nativeEnumName, runtimeType }: EntityProperty): string {
  if (nativeEnumName !== undefined) return 'enum';
  // A serial is an integer that counts by itself.
  return runtimeType === 'boolean' ? runtimeType : columnTypes[0]!.replace(/serial$/, 'int');
}

/** Of MySQL, where the type itself does not say it. */
const isUnsigned = ({ columnTypes, unsigned }: EntityProperty, platform: Platform): boolean =>
  isMysql(platform) && unsigned === true && !/unsigned/i.test(columnTypes[0]!);

/** How a database's columns are those of keys. */
interface Columns {
  of(property: EntityProperty, isForeign: boolean): KeyColumn;
  /** Why no key is made of a property. */
  whyRefused?(property: EntityProperty): string | undefined;
}

const ofPostgres: Columns = {
  of: postgresKeyColumn,
  whyRefused: ({ columnTypes, nativeEnumName }) =>
    nativeEnumName === undefined ? whyRefused(columnTypes[0]!) : undefined,
};

function columnsOf(platform: Platform): Columns {
  if (isPostgres(platform)) return ofPostgres;
  if (isSqlite(platform)) return { of: sqliteKeyColumn };
  if (!isMysql(platform)) return { of: declaredKeyColumn, whyRefused: whyUndeclared };
  return {
    of: (property) => mysqlKeyColumn(property, platform),
    whyRefused: ({ columnTypes }) => whyRefusedByMysql(columnTypes[0]!),
  };
}

/** Part of the key by a foreign key. */
const isForeign = (property: EntityProperty, { properties }: EntityMetadata): boolean =>
  (properties as Record<string, EntityProperty>)[property.name] !== property;

/** Names property, type and reason where a part of a key is of a type that keys are not made of. */
function refusalOf(leaves: readonly Leaf[], metadata: EntityMetadata, columns: Columns): string | undefined {
  for (const { property } of leaves) {
    const type = property.columnTypes?.[0] ?? property.type;
    const why = columns.whyRefused?.(property);
    if (why !== undefined) return `its property ${property.name} is of type ${type}: ${why}`;
    if (property.hasConvertToDatabaseValueSQL || property.hasConvertToJSValueSQL) {
      return `its property ${property.name} is of a type that is converted in SQL: what the database has of it is not known here`;
    }
    // Of a domain MikroORM has but the word.
    if ([property.runtimeType, property.type].includes('boolean') && isForeign(property, metadata)) {
      return `its property ${property.name} is a foreign key of type ${type}: MikroORM reads none of its rows`;
    }
  }
  const halved = halvedIn(metadata);
  return (
    halved &&
    `its property ${halved.name} is a foreign key to a key that is one itself, of several columns: MikroORM reads one of them`
  );
}

/** The part of a key of which MikroORM has but the first column in rows that it reads. */
function halvedIn(metadata: EntityMetadata): EntityProperty | undefined {
  return metadata.getPrimaryProps().find(({ targetMeta }) => {
    if (targetMeta === undefined) return false;
    const [only, another] = targetMeta.getPrimaryProps();
    const isHalved = another === undefined && only!.targetMeta !== undefined && keyProperties(targetMeta).length > 1;
    return isHalved || halvedIn(targetMeta) !== undefined;
  });
}

/** A key that the application's own type can't read, or reads as another one, must not reach the database. */
function survivesCustomType({ property, column }: Leaf, wire: JsonValue, value: unknown, platform: Platform): boolean {
  // MikroORM's own types read every value of their columns.
  if (property.customType === undefined || OWN_TYPES.has(property.customType.constructor)) return true;
  try {
    const held = column.held?.(wire) ?? value;
    const back = toDatabase(property, property.customType.convertToJSValue(held, platform), platform);
    return isNamed(column, back, wire);
  } catch {
    return false;
  }
}

function toDatabase({ customType }: EntityProperty, value: unknown, platform: Platform): unknown {
  return customType === undefined ? value : customType.convertToDatabaseValue(value, platform, CONVERSION);
}
