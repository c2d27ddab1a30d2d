import { type InspectOptions, types } from 'node:util';
// The one circle of the source: see errors.ts.
// oxlint-disable-next-line import/no-cycle
import { ByReferenceError } from '../errors.ts';
import { isStorable } from '../text.ts';
import { isJsonObject, isPlainObject, type JsonArray, type JsonObject, type JsonValue } from './json.ts';
import { readBigInt } from './values/bigint.ts';
import { readBytes, writeBytes } from './values/bytes.ts';
import { readDate } from './values/date.ts';

/** One part of a primary key as JavaScript sees it; the column's type decides which one. */
export type KeyValue = string | number | boolean | bigint | Uint8Array | Date;

/** A reference on the wire: `["User",1]`, `["OrderLine",[7,"a"]]`, `["User",1,{"schema":"t1","version":4}]`. */
export type TokenBody = JsonArray;

/** The parts of a token body whose shape has been checked; the key is still to be checked against its model. */
export interface TokenParts {
  readonly model: string;
  readonly key: JsonValue;
  readonly schema: string | undefined;
  readonly version: number | Date | undefined;
}

/** Marks the tokens of every copy of this package. */
const TOKEN = Symbol.for('mikro-orm-byref.token');

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

const DETAILS: ReadonlySet<unknown> = new Set(['schema', 'version']);

const FACTS: ReadonlySet<unknown> = new Set(['model', 'primaryKey', ...DETAILS]);

/**
 * A reference to one row: `<model, primary key>`, with the schema and the version where they matter. Immutable, and
 * deeply equal to another where all four facts are. As a value in a payload it travels as `{"$token":["User",1]}` and
 * comes back a token, without a query.
 */
export class EntityToken {
  /** The model's name on the wire: `User`. */
  readonly model: string;
  /** The key; an array for a composite one, in the order of the entity's primary key columns, foreign keys flattened. */
  readonly primaryKey!: KeyValue | readonly KeyValue[];
  /** Set when the row is not in the model's own schema. */
  readonly schema: string | undefined;
  /** What the version property held when the token was made. */
  readonly version!: number | Date | undefined;
  readonly #key: JsonValue;

  /**
   * `new EntityToken('OrderLine', [7, 'a'], { schema: 'tenant_1', version: 4 })`.
   * @throws E_MALFORMED for an empty model name, a value that can't be part of a key, and other details.
   */
  constructor(
    model: string,
    primaryKey: KeyValue | readonly KeyValue[],
    details: { readonly schema?: string | undefined; readonly version?: number | Date | undefined } = {},
  ) {
    const key = isKeyList(primaryKey) ? Array.from(primaryKey, checkedLeaf) : checkedLeaf(primaryKey);
    const { schema, version } = checkedDetails(details);
    const parts = readTokenBody(writeTokenBody(model, key, schema, version), root);
    this.model = parts.model;
    this.schema = parts.schema;
    this.#key = parts.key;
    if (typeof parts.key === 'object') define(this, 'primaryKey', () => readKey(parts.key));
    else this.primaryKey = parts.key;
    if (typeof parts.version === 'object') define(this, 'version', () => new Date(parts.version!));
    else this.version = parts.version === undefined ? undefined : parts.version + 0;
    Object.freeze(this);
  }

  /**
   * Reads what `toString()` wrote.
   * @throws E_MALFORMED for anything else.
   */
  static parse(text: string): EntityToken {
    let body: unknown;
    try {
      body = JSON.parse(Buffer.from(text, 'base64url').toString());
    } catch (cause) {
      throw ByReferenceError.malformed(
        'the text is no token, expected what EntityToken.toString() wrote; what sign() wrote is for verify()',
        { cause },
      );
    }
    const token = EntityToken.fromBody(body);
    if (token.toString() !== text) throw ByReferenceError.malformed('the token is not in its canonical form');
    return token;
  }

  /**
   * The token again, from plain data: what `structuredClone`, `postMessage` or a spread made of one, and what
   * `JSON.stringify` wrote of one (`{"$token":["User",1]}`), parsed. JSON of such a clone is taken where it has kept
   * the types: it has no bigint, Date or bytes.
   * @throws E_MALFORMED for anything else.
   */
  static from(plain: unknown): EntityToken {
    if (typeof plain !== 'object' || plain === null) throw unlike();
    if (EntityToken.isToken(plain)) return EntityToken.fromBody(plain.toBody());
    const keys = Reflect.ownKeys(plain);
    if (!isPlainObject(plain)) throw unlike();
    if (keys.length === 1 && keys[0] === '$token') return EntityToken.fromBody((plain as JsonObject)['$token']);
    if (!keys.every((key) => FACTS.has(key))) throw unlike();
    const facts = plain as EntityToken;
    const details = { schema: own(facts, 'schema'), version: own(facts, 'version') };
    return new EntityToken(own(facts, 'model')!, own(facts, 'primaryKey')!, details);
  }

  /** @internal Reads a token body found at a path of a payload. */
  static fromBody(body: unknown, path: () => string = root): EntityToken {
    const { model, key, schema, version } = readTokenBody(body, path);
    return new EntityToken(model, readKey(key), { schema, version });
  }

  /** @internal True for a token of any copy of this package. */
  static isToken(value: object): value is EntityToken {
    return TOKEN in value;
  }

  /** True for a token of any copy of this package. */
  get [TOKEN](): true {
    return true;
  }

  /** True when both name the same row, whatever their versions. */
  equals(other: unknown): boolean {
    if (typeof other !== 'object' || other === null || !EntityToken.isToken(other)) return false;
    const body = writeTokenBody(other.model, keyOf(other), other.schema, undefined);
    return this.#row() === JSON.stringify(identityOf(body));
  }

  /** URL-safe text (base64url of the JSON form); `EntityToken.parse` reads it. Unsigned: anybody can make one. */
  toString(): string {
    return Buffer.from(JSON.stringify(this.toBody())).toString('base64url');
  }

  /** The token as JSON: `{"$token":["User",1]}`. `EntityToken.from` reads it. */
  toJSON(): { $token: TokenBody } {
    return { $token: this.toBody() };
  }

  /** @internal What the console shows: `EntityToken('User', 1)`. */
  [INSPECT](_depth: number, options: InspectOptions, inspect: (value: unknown, options: InspectOptions) => string) {
    const { model, primaryKey, schema, version } = this;
    const details = { ...(schema !== undefined && { schema }), ...(version !== undefined && { version }) };
    const facts = [model, primaryKey, ...(Object.keys(details).length > 0 ? [details] : [])];
    const line = { ...options, depth: 1, breakLength: Number.POSITIVE_INFINITY, compact: true };
    return `EntityToken(${facts.map((fact) => inspect(fact, line)).join(', ')})`;
  }

  /** @internal */
  toBody(): TokenBody {
    return writeTokenBody(this.model, this.#key, this.schema, this.version);
  }

  #row(): string {
    return JSON.stringify(identityOf(writeTokenBody(this.model, this.#key, this.schema, undefined)));
  }
}

export function writeTokenBody(
  model: string,
  key: JsonValue,
  schema: string | undefined,
  version: number | Date | undefined,
): TokenBody {
  if (schema === undefined && version === undefined) return [model, key];
  const details: Record<string, JsonValue> = {};
  if (schema !== undefined) details['schema'] = schema;
  if (version !== undefined) details['version'] = typeof version === 'number' ? version : writeKeyValue(version);
  return [model, key, details];
}

/**
 * A token body as what tells its row from others, in the code of before a migration as in that of after: the key of a
 * column that was an int4 and is an int8 is one number in both, as long as a number holds it.
 */
export function identityOf([model, key, ...details]: TokenBody): TokenBody {
  return [model!, isArray(key) ? key.map(withoutWidth) : withoutWidth(key!), ...details];
}

function withoutWidth(part: JsonValue): JsonValue {
  const value = readKeyValue(part);
  if (typeof value !== 'bigint') return part;
  const number = Number(value);
  return Number.isFinite(number) && BigInt(number) === value ? number : part;
}

/** Checks the shape of a token body: anything but scalars, key tags and the known details is E_MALFORMED. */
export function readTokenBody(body: unknown, path: () => string): TokenParts {
  if (!isArray(body) || body.length < 2 || body.length > 3) {
    throw ByReferenceError.malformed('a token is [model, key] or [model, key, details]', { path: path() });
  }
  const model: unknown = body[0];
  const key: unknown = body[1];
  if (typeof model !== 'string' || model === '' || !isStorable(model)) {
    throw ByReferenceError.malformed("a token's model is a name", { path: path() });
  }
  const isComposite = isArray(key);
  if (isComposite ? key.length < 2 || !key.every(isKeyLeaf) : !isKeyLeaf(key)) {
    throw ByReferenceError.malformed(
      'a key is a string, number, boolean, $bigint, $bytes or $date, or a list of two or more',
      {
        path: path(),
        model,
      },
    );
  }
  const details = body.length === 2 ? NO_DETAILS : readDetails(body[2], path, model);
  return { model, key: key as JsonValue, schema: details.schema, version: details.version };
}

type Details = Pick<TokenParts, 'schema' | 'version'>;

/** Says so, lest a prototype that somebody has written to says something else. */
const NO_DETAILS: Details = { schema: undefined, version: undefined };

function readDetails(details: unknown, path: () => string, model: string): Details {
  const result: { -readonly [Name in keyof Details]: Details[Name] } = { ...NO_DETAILS };
  if (!isJsonObject(details))
    throw ByReferenceError.malformed("a token's details are an object", { path: path(), model });
  for (const name of Object.keys(details)) {
    const value = details[name]!;
    if (name === 'schema' && typeof value === 'string' && value !== '' && isStorable(value)) {
      result.schema = value;
    } else if (name === 'version') {
      const version = Number.isSafeInteger(value) ? (value as number) : readTag(value, '$date', readDate);
      if (version === undefined)
        throw ByReferenceError.malformed("a token's version is an integer or a $date", { path: path(), model });
      result.version = version;
    } else {
      throw ByReferenceError.malformed(`a token has no such detail: ${JSON.stringify(name)}`, { path: path(), model });
    }
  }
  return result;
}

/** The wire form of one part of a key; what is none (an invalid Date, null) is for readTokenBody to refuse. */
export function writeKeyValue(value: KeyValue): JsonValue {
  if (typeof value === 'bigint') return { $bigint: value.toString() };
  if (types.isDate(value)) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() };
  return types.isUint8Array(value) ? { $bytes: writeBytes(value) } : value;
}

/** One part of a key as JavaScript sees it, or undefined when the wire form is none. */
export function readKeyValue(leaf: JsonValue): KeyValue | undefined {
  if (typeof leaf === 'string') return isStorable(leaf) ? leaf : undefined;
  if (typeof leaf === 'number') return Number.isFinite(leaf) ? leaf : undefined;
  if (typeof leaf === 'boolean') return leaf;
  return (
    readTag(leaf, '$bigint', readInteger) ?? readTag(leaf, '$bytes', readBytes) ?? readTag(leaf, '$date', readDate)
  );
}

/** No column has as many digits; making a bigint of more takes more than time in proportion. */
const MOST_DIGITS = 10_000;

const readInteger = (body: unknown): bigint | undefined =>
  typeof body === 'string' && body.length <= MOST_DIGITS ? readBigInt(body) : undefined;

const root = (): string => '$';

const isKeyLeaf = (leaf: unknown): boolean => readKeyValue(leaf as JsonValue) !== undefined;

function readTag<T>(leaf: JsonValue, tag: string, read: (body: unknown) => T | undefined): T | undefined {
  if (!isJsonObject(leaf)) return undefined;
  const keys = Object.keys(leaf);
  return keys.length === 1 && keys[0] === tag ? read((leaf as JsonObject)[tag]) : undefined;
}

const readKey = (key: JsonValue): KeyValue | KeyValue[] =>
  isArray(key) ? key.map((leaf) => readKeyValue(leaf)!) : readKeyValue(key)!;

/** A fact that can be changed, as dates and bytes can: each reader has their own. Whoever compares or copies meets it. */
function define(token: EntityToken, name: 'primaryKey' | 'version', get: () => unknown): void {
  Object.defineProperty(token, name, { get, enumerable: true });
}

/** The wire form of a part of a key. What is in that form already is none: the caller's data could forge a type. */
function checkedLeaf(value: KeyValue): JsonValue {
  // JSON has no -0.
  if (typeof value === 'number') return value + 0;
  const isOpaque = typeof value === 'object' && !types.isDate(value) && !types.isUint8Array(value);
  return isOpaque ? null : writeKeyValue(value);
}

/** What a prototype has is nobody's fact: somebody may have written to `Object.prototype`. */
const own = <T extends object, Name extends keyof T>(object: T, name: Name): T[Name] | undefined =>
  Object.hasOwn(object, name) ? object[name] : undefined;

function checkedDetails(details: Partial<Details>): Partial<Details> {
  const isSound = isJsonObject(details as unknown) && Object.keys(details).every((name) => DETAILS.has(name));
  if (!isSound) throw ByReferenceError.malformed("a token's details are { schema, version }");
  const [schema, version] = [own(details, 'schema'), own(details, 'version')];
  if (version === undefined || typeof version === 'number' || types.isDate(version)) return { schema, version };
  throw ByReferenceError.malformed("a token's version is an integer or a Date");
}

const unlike = (): ByReferenceError =>
  ByReferenceError.malformed(
    'expected a token, { model, primaryKey, schema, version } as a structured clone of one is, or {"$token":[…]}; the text of a token is for EntityToken.parse()',
  );

function keyOf(token: EntityToken): JsonValue {
  const key = token.primaryKey;
  return isKeyList(key) ? key.map(writeKeyValue) : writeKeyValue(key);
}

const isKeyList = (key: KeyValue | readonly KeyValue[]): key is readonly KeyValue[] => Array.isArray(key);

const isArray = (value: unknown): value is JsonArray => Array.isArray(value);
