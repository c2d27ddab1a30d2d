import type { EntityManager, MikroORM } from '@mikro-orm/core';
import type { ByReferenceOptions } from './by-reference.ts';
import { ByReferenceError } from './errors.ts';
import { isStorableString } from './json.ts';
import type {
  DeserializeOptions,
  EntitySerializerOptions,
  Limits,
  ReviveDefaults,
  SerializeOptions,
  TokenOptions,
} from './options.ts';
import type { SchemaLike } from './orm.ts';
import type { ReferencePropertyOptions } from './reference-property.ts';
import { isPurpose } from './signing.ts';

export type Check = readonly [expected: string, isValid: (value: unknown) => boolean];

export const oneOf = (...values: unknown[]): Check => [
  values.map((value) => JSON.stringify(value)).join(' or '),
  (value) => values.includes(value),
];
export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && isStorableString(value);
export const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
export const isFunction = (value: unknown): boolean => typeof value === 'function';
export const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isListOf =
  (isItem: (item: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(isItem);
export const aFunction: Check = ['a function', isFunction];
export const aCount: Check = ['a positive integer', isCount];
export const anObject: Check = ['an object', isObject];
export const aName: Check = ['a name', isName];
const names: Check = ['an array of names', isListOf(isName)];

export const classes: Check = [
  'an array of entity classes',
  isListOf((item) => isFunction(item) || isObject((item as SchemaLike | null)?.meta)),
];

const missing = oneOf('throw', 'null', 'omit');

const CLASS_CHECKS: Record<keyof ByReferenceOptions, Check> = {
  name: aName,
  aliases: names,
  toJSON: oneOf(true, false),
  version: ['the name of a property', isName],
  missing,
  populate: names,
  filters: [
    'what em.find takes',
    (value) => typeof value === 'boolean' || typeof value === 'string' || typeof value === 'object',
  ],
};

const PROPERTY_CHECKS: Record<keyof ReferencePropertyOptions, Check> = {
  each: oneOf(true, false),
  optional: oneOf(true, false),
  nullable: oneOf(true, false),
  missing,
  populate: ['relations, or an object with relations per model', (value) => isListOf(isName)(value) || isObject(value)],
  filters: CLASS_CHECKS.filters,
  only: classes,
};

const DEFAULTS_CHECKS: Record<keyof ReviveDefaults, Check> = {
  missing,
  freshness: oneOf('refresh', 'managed', 'lazy'),
  unflushed: oneOf('keep', 'throw', 'overwrite'),
  populate: ['an object with a list of relations per model', isObject],
  filters: ['false or an object with filters per model', (value) => value === false || isObject(value)],
  schemas: ['an array of schema names or a function', (value) => isFunction(value) || isListOf(isName)(value)],
  tenant: aFunction,
  drift: ['"ignore", "throw" or a function', (value) => value === 'ignore' || value === 'throw' || isFunction(value)],
  authorize: aFunction,
  onRevive: aFunction,
  parallel: aCount,
  limits: anObject,
  signed: [
    'false or { purpose }',
    (value) => value === false || (isObject(value) && isPurpose((value as { purpose?: unknown }).purpose)),
  ],
};

export const isEntityManager = (value: unknown): value is EntityManager =>
  isObject(value) && isFunction((value as Partial<EntityManager>).getContext);

export const DESERIALIZE_CHECKS: Record<keyof DeserializeOptions, Check> = {
  ...DEFAULTS_CHECKS,
  em: [
    'an EntityManager, or an array with one for each of several ORMs',
    (value) => [value].flat().every(isEntityManager),
  ],
  only: classes,
  as: ['a class', isFunction],
  schema: ['a schema name', isName],
  lockMode: ['a pessimistic LockMode', (value) => Number.isSafeInteger(value) && (value as number) >= 2],
};

const TOKEN_CHECKS: Record<keyof TokenOptions, Check> = {
  versions: oneOf(true, false),
  unflushed: oneOf('allow', 'throw'),
};

const SERIALIZE_CHECKS: Record<keyof SerializeOptions, Check> = {
  ...TOKEN_CHECKS,
  metadata: anObject,
  onEntity: aFunction,
  onCopy: aFunction,
  sign: ['{ purpose, expiresInMs } or { purpose, expiresAt }', isObject],
};

const SERIALIZER_CHECKS: Record<keyof EntitySerializerOptions, Check> = {
  ...DEFAULTS_CHECKS,
  versions: oneOf(true, false),
  models: oneOf('all', 'declared'),
  // The Signer's to judge, which never shows one.
  signingKeys: ['secrets', () => true],
  clock: aFunction,
  values: ['an array of classes', isListOf(isFunction)],
  unknownModel: oneOf('permanent', 'retryable'),
};

const LIMIT_CHECKS: Record<keyof Limits, Check> = { depth: aCount, nodes: aCount, tokens: aCount, length: aCount };

/** Refuses unknown names and bad values: a typo in an option must not switch a safeguard off. */
export function check(options: object, checks: Readonly<Record<string, Check>>, prefix: string): void {
  if (!isObject(options)) throw ByReferenceError.invalidOption('options', 'an object', options);
  for (const name of Object.keys(options)) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (!Object.hasOwn(checks, name)) {
      throw ByReferenceError.invalidOption(`${prefix}${name}`, `one of ${Object.keys(checks).join(', ')}`, value);
    }
    const [expected, isValid] = checks[name]!;
    if (value !== undefined && !isValid(value)) throw ByReferenceError.invalidOption(prefix + name, expected, value);
  }
}

export const checkClassOptions = (options: ByReferenceOptions): void =>
  check(options, CLASS_CHECKS, '@ByReference option ');

export const checkReferencePropertyOptions = (options: ReferencePropertyOptions): void =>
  check(options, PROPERTY_CHECKS, '@ByReference option ');

export const checkTokenOptions = (options: TokenOptions): void => check(options, TOKEN_CHECKS, 'option ');

export const checkSerializeOptions = (options: SerializeOptions): void => check(options, SERIALIZE_CHECKS, 'option ');

export function checkDeserializeOptions(options: DeserializeOptions): void {
  check(options, DESERIALIZE_CHECKS, 'option ');
  if (options.limits !== undefined) check(options.limits, LIMIT_CHECKS, 'option limits.');
}

/** MikroORM finds the EntityManager of a request by the name of its ORM. */
export function checkOrms(orms: readonly MikroORM[]): void {
  const names = orms.map((orm) => isObject(orm) && isEntityManager(orm.em) && orm.em.name);
  if (names.length === 0 || names.includes(false)) {
    throw ByReferenceError.invalidOption('orms', 'a MikroORM or an array of them', orms);
  }
  if (new Set(names).size < names.length) {
    throw ByReferenceError.invalidOption('orms', 'ORMs of different contextName', names);
  }
}

/** Plain JSON carries no signature that could be demanded, and no envelope around what a DTO checks. */
export function checkReviveOptions(options: DeserializeOptions): void {
  checkDeserializeOptions(options);
  for (const name of ['signed', 'as'] as const) {
    if (options[name]) throw ByReferenceError.invalidOption(`option ${name}`, 'none for plain JSON', options[name]);
  }
}

export function checkSerializerOptions(options: EntitySerializerOptions): void {
  check(options, SERIALIZER_CHECKS, 'option ');
  if (options.limits !== undefined) check(options.limits, LIMIT_CHECKS, 'option limits.');
}
