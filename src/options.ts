import type { AnyEntity, EntityManager, FilterOptions, LockMode } from '@mikro-orm/core';
import {
  aCount,
  aFunction,
  anObject,
  type Check,
  check,
  isFunction,
  isListOf,
  isName,
  isObject,
  oneOf,
} from './check.ts';
import type { AnyUpgrade } from './class-transformer/upgrade.ts';
import { LIMIT_CHECKS, type Limits } from './codec/limits.ts';
import { ByReferenceError } from './errors.ts';
import { aMissingPolicy, type MissingPolicy, type PerModel } from './models/per-model.ts';
import type { RegistryOptions } from './models/model-registry.ts';
import type { ValueClass } from './models/value-registry.ts';
import { isEntityManager } from './orm/context.ts';
import { classes, type EntityType } from './orm/entity-class.ts';
import type { JsonObject } from './wire/json.ts';
import { isPurpose, type SigningKey, type SignOptions } from './wire/signing.ts';
import type { EntityToken } from './wire/token.ts';

/** What a row's drift looks like to a callback. */
export interface Drift {
  /** The entity that the row is read into. */
  readonly entity: AnyEntity;
  /** Its token in the payload. */
  readonly token: EntityToken;
  /** The version property when the token was made. */
  readonly serialized: number | Date;
  /** The version property now. */
  readonly current: number | Date;
}

/** What one call revived. */
export interface ReviveReport {
  /** References met, duplicates counted. */
  readonly tokens: number;
  /** Distinct rows they name. */
  readonly rows: number;
  /** Queries sent for them; what `populate` adds is MikroORM's and not counted. */
  readonly queries: number;
  /** Milliseconds from the first query to the last entity in place. */
  readonly ms: number;
  /** Rows that are gone, hidden by a filter or refused by `authorize`, by their tokens. */
  readonly missing: readonly EntityToken[];
  /** Rows that are newer than their tokens' versions. */
  readonly drifted: readonly EntityToken[];
  /** Entities returned with their unflushed changes, not re-read. */
  readonly unflushed: readonly EntityToken[];
}

/**
 * The message of Node's `tracingChannel('mikro-orm-byref:revive')`, one object for all events of a call that reads rows:
 * `start` before the first query, `asyncEnd` after the last, `error` before it where the rows could not be read.
 */
export interface ReviveTrace {
  /** Undefined while rows are read, and where they could not be. */
  report?: ReviveReport;
  /** What the rows could not be read for; undefined where they could. */
  error?: unknown;
}

/** What a signature has to be for; false where none has to be there. */
export type Signed =
  | false
  | {
      /** What signatures have to be for: 1 to 256 characters, `'jobs'`. */
      readonly purpose: string;
    };

/** Defaults that a serializer may set for its calls, and a call may override. */
export interface ReviveDefaults {
  /**
   * What stands for a row that is gone. A model's own `missing` goes before the serializer's, a call's before both.
   * @defaultValue `'throw'`
   */
  readonly missing?: MissingPolicy;
  /**
   * What is read of rows that this EntityManager has loaded:
   * - `refresh`: every row is read again
   * - `managed`: what is loaded is kept, only the rest is read
   * - `lazy`: references without a query; only with `missing: 'throw'`, and nothing is found missing
   * @defaultValue `'refresh'`
   */
  readonly freshness?: 'refresh' | 'managed' | 'lazy';
  /**
   * What happens to an entity of this EntityManager with unflushed changes:
   * - `keep`: returned as it is; that its row exists is still checked
   * - `throw`: E_UNFLUSHED before any query
   * - `overwrite`: the row's values replace the changes
   * @defaultValue `'keep'`
   */
  readonly unflushed?: 'keep' | 'throw' | 'overwrite';
  /**
   * Relations to load per model, as in `em.find`.
   * @defaultValue the model's own
   */
  readonly populate?: PerModel<readonly string[]>;
  /**
   * Filters to switch per model, as in `em.find`; false switches off all of all models.
   * @defaultValue the application's own
   */
  readonly filters?: false | PerModel<FilterOptions>;
  /**
   * Schemas that tokens may name besides the EntityManager's and the model's own.
   * @defaultValue none
   */
  readonly schemas?: readonly string[] | ((schema: string) => boolean);
  /**
   * The schema of the tenant that is served, undefined for none. With it the schema of a token, or of the option
   * `schema`, has to be its model's own or this one, or admitted by `schemas`, whatever that of the EntityManager: any
   * other is E_WRONG_TENANT, and E_NO_TENANT where there is none; a token without one of a model in many schemas
   * (`schema: '*'`) is E_MISSING_TENANT. All before any query.
   * @defaultValue no tenants
   */
  readonly tenant?: () => string | undefined;
  /**
   * What a row newer than its token's version means: nothing (`ignore`), E_DRIFT (`throw`), or what the callback
   * decides by throwing or not. A row older than its token is E_NOT_YET_VISIBLE in any case.
   * @defaultValue `'ignore'`
   */
  readonly drift?: 'ignore' | 'throw' | ((drift: Drift) => void | Promise<void>);
  /**
   * Decides whether the caller may have a row, also one that `populate` brings; asked once per row. A refused one looks
   * exactly like a missing one and never comes into the caller's EntityManager; a relation to it is a reference, a
   * collection lacks it. The entity is of an EntityManager of its own: compare keys, not objects. Every table is read
   * twice for it.
   * @defaultValue none: every row
   */
  readonly authorize?: (entity: AnyEntity, token: EntityToken) => boolean | Promise<boolean>;
  /**
   * Called after each call that met references, and waited for; what it throws, the call fails with.
   * @defaultValue none
   */
  readonly onRevive?: (report: ReviveReport) => unknown;
  /**
   * Queries at once outside a transaction.
   * @defaultValue 4 for up to 1,000 rows, else 2, so that referenced rows are hydrated first
   */
  readonly parallel?: number;
  /**
   * How much a payload may hold; a limit that is left out is the serializer's, or its default.
   * @defaultValue those of `Limits`
   */
  readonly limits?: Limits;
  /**
   * Demands that a payload is signed for a purpose: any other, and an unsigned one, is E_BAD_SIGNATURE. With false a
   * signature that is there is verified all the same. Of a serializer it is the default of all that reads and writes
   * with it: `serialize`, tasks and their results, adapters, caches.
   * @defaultValue false
   */
  readonly signed?: Signed;
}

/** How a payload is read: `deserialize(text, { em, only: [User], missing: 'null' })`. */
export interface DeserializeOptions<Only extends readonly EntityType[] = readonly EntityType[]> extends ReviveDefaults {
  /**
   * Whose identity map receives the entities; an array with one for each of several ORMs.
   * @defaultValue the request context's; without one it must be given
   */
  readonly em?: EntityManager | readonly EntityManager[];
  /**
   * The classes a payload may name, subclasses included; any other is E_MODEL_NOT_ALLOWED, before any query.
   * @defaultValue none: every model of the serializer
   */
  readonly only?: Only;
  /**
   * A DTO: the payload must have its declared keys and no other, references of the declared classes where it declares
   * them, and comes back as its instance. Anything else is E_MALFORMED, before any query. Import
   * `mikro-orm-byref/class-transformer`, which reads DTOs; E_INVALID_OPTION where nobody did.
   * @defaultValue none
   */
  readonly as?: new () => object;
  /**
   * The schema of rows whose token names none, as in `em.find`.
   * @defaultValue the model's own
   */
  readonly schema?: string;
  /**
   * Row locks taken while reading, as in `em.find`; needs a transaction. Losers of SKIP LOCKED and NOWAIT are E_LOCKED,
   * a database without row locks is E_UNSUPPORTED.
   * @defaultValue none
   */
  readonly lockMode?: LockMode;
}

/** What tasks ask besides. */
export interface TaskReviveOptions extends DeserializeOptions {
  /**
   * What `as` was before, the newest first.
   * @defaultValue none
   */
  readonly upgrade?: readonly AnyUpgrade[];
}

/** What is put into tokens: `serializer.token(user, { versions: true })`. */
export interface TokenOptions {
  /**
   * Puts each model's version property into its tokens, so that the receiver can see drift:
   * - `false`: no
   * - `true`: where it is known. References, rows loaded without it and models without one have tokens without one
   * - `'required'`: everywhere; an entity whose version is not known is E_UNSERIALIZABLE
   * @defaultValue false
   */
  readonly versions?: boolean | 'required';
  /**
   * Whether an entity with unflushed changes may be serialized (`allow`) or is E_UNFLUSHED (`throw`).
   * @defaultValue `'allow'`
   */
  readonly unflushed?: 'allow' | 'throw';
}

/**
 * How a payload is written: `serialize(value, { versions: true, sign: { purpose: 'invoice', expiresInMs: 60_000 } })`.
 */
export interface SerializeOptions extends TokenOptions {
  /**
   * Signs the payload, for readers that demand it with `signed`; false does not.
   * @defaultValue for the purpose of the serializer's own `signed`, without an end; without that no signature
   */
  readonly sign?: false | SignOptions;
  /**
   * Plain JSON beside the data, for a transport's own use; a signature covers it.
   * @defaultValue none
   */
  readonly metadata?: JsonObject;
}

/** What `verify` takes: the purpose, and how the row is revived; one that is missing is always E_ENTITY_NOT_FOUND. */
export type VerifyOptions<Only extends readonly EntityType[] = readonly EntityType[]> = Omit<
  DeserializeOptions<Only>,
  'missing' | 'signed' | 'limits' | 'as'
> & {
  /** What the token was signed for: `'unsubscribe'`. */
  readonly purpose: string;
};

/** What `locate` takes: how the row is revived. A missing one is E_ENTITY_NOT_FOUND unless the call says otherwise. */
export type LocateOptions<Only extends readonly EntityType[] = readonly EntityType[]> = Omit<
  DeserializeOptions<Only>,
  'signed' | 'limits' | 'as'
>;

/** What `new EntitySerializer(orm, options)` takes: the models, the keys, and defaults for the calls. */
export interface EntitySerializerOptions extends ReviveDefaults, RegistryOptions, Pick<TokenOptions, 'versions'> {
  /**
   * Secrets that sign and verify: the first signs, all verify.
   * @defaultValue none, and nothing can be signed
   */
  readonly signingKeys?: readonly SigningKey[];
  /**
   * Milliseconds since the epoch, for the expiry of signatures.
   * @defaultValue `Date.now`
   */
  readonly clock?: () => number;
  /**
   * The value objects that travel: classes marked with `@ByValue()`.
   * @defaultValue none
   */
  readonly values?: readonly ValueClass[];
}

/** True for a purpose, with nothing beside it but what `others` names. */
export const isSigning = (value: unknown, ...others: readonly string[]): boolean =>
  isObject(value) &&
  isPurpose((value as { purpose?: unknown }).purpose) &&
  Object.keys(value as object).every((name) => name === 'purpose' || others.includes(name));

const DEFAULTS_CHECKS: Record<keyof ReviveDefaults, Check> = {
  missing: aMissingPolicy,
  freshness: oneOf('refresh', 'managed', 'lazy'),
  unflushed: oneOf('keep', 'throw', 'overwrite'),
  populate: ['relations per model, as { User: ["posts"] }', isObject],
  filters: ['false or an object with filters per model', (value) => value === false || isObject(value)],
  schemas: ['an array of schema names or a function', (value) => isFunction(value) || isListOf(isName)(value)],
  tenant: aFunction,
  drift: ['"ignore", "throw" or a function', (value) => value === 'ignore' || value === 'throw' || isFunction(value)],
  authorize: aFunction,
  onRevive: aFunction,
  parallel: aCount,
  limits: anObject,
  signed: ['false or { purpose }', (value) => value === false || isSigning(value)],
};

export const DESERIALIZE_CHECKS: Record<keyof DeserializeOptions, Check> = {
  ...DEFAULTS_CHECKS,
  em: [
    'an EntityManager, or an array with one for each of several ORMs',
    (value) => (Array.isArray(value) ? value.every(isEntityManager) : isEntityManager(value)),
  ],
  only: classes,
  as: ['a class', isFunction],
  schema: ['a schema name', isName],
  lockMode: ['a pessimistic LockMode', (value) => Number.isSafeInteger(value) && (value as number) >= 2],
};

const isUpgrade = (value: unknown): boolean =>
  isObject(value) && isFunction((value as Partial<AnyUpgrade>).from) && isFunction((value as Partial<AnyUpgrade>).to);

export const anUpgrade: Check = ['{ from, to }, or a list of them', (value) => isListOf(isUpgrade)([value].flat())];

const TASK_REVIVE_CHECKS: Record<keyof TaskReviveOptions, Check> = { ...DESERIALIZE_CHECKS, upgrade: anUpgrade };

const TOKEN_CHECKS: Record<keyof TokenOptions, Check> = {
  versions: oneOf(true, false, 'required'),
  unflushed: oneOf('allow', 'throw'),
};

const SERIALIZE_CHECKS: Record<keyof SerializeOptions, Check> = {
  ...TOKEN_CHECKS,
  metadata: anObject,
  sign: ['false, { purpose, expiresInMs } or { purpose, expiresAt }', (value) => value === false || isObject(value)],
};

const SERIALIZER_CHECKS: Record<keyof EntitySerializerOptions, Check> = {
  ...DEFAULTS_CHECKS,
  versions: oneOf(true, false, 'required'),
  models: oneOf('all', 'declared'),
  // The Signer's to judge, which never shows one.
  signingKeys: ['secrets', () => true],
  clock: aFunction,
  values: ['an array of classes', isListOf(isFunction)],
  requireNames: oneOf(true, false),
  unknownModel: oneOf('permanent', 'retryable'),
};

export const checkTokenOptions = (options: TokenOptions): void => check(options, TOKEN_CHECKS, 'option ');

export const checkSerializeOptions = (options: SerializeOptions): void => check(options, SERIALIZE_CHECKS, 'option ');

export function checkDeserializeOptions(options: TaskReviveOptions): void {
  check(options, TASK_REVIVE_CHECKS, 'option ');
  if (options.upgrade !== undefined && options.as === undefined) {
    throw ByReferenceError.invalidOption('option upgrade', 'as beside it, the class of now', options.upgrade);
  }
  if (options.limits !== undefined) check(options.limits, LIMIT_CHECKS, 'option limits.');
}

/** Plain JSON carries no signature that could be demanded, no envelope around what a DTO checks, and nobody vouches for it. */
export function checkPlainOptions(options: DeserializeOptions): void {
  for (const name of ['signed', 'as'] as const) {
    if (options?.[name]) throw ByReferenceError.invalidOption(`option ${name}`, 'none for plain JSON', options[name]);
  }
  if (Array.isArray(options?.only)) return;
  throw ByReferenceError.invalidOption('option only', 'an array of the classes that the JSON may name', options?.only);
}

/** Text can come from anybody: it names only what the caller admits. */
export function checkLocateOptions(options: LocateOptions, hasText: boolean): void {
  check(options, TASK_REVIVE_CHECKS, 'option ');
  refuseAll(options, ['signed', 'limits', 'as'], 'none to locate a token');
  if (!hasText || Array.isArray(options.only)) return;
  throw ByReferenceError.invalidOption(
    'option only',
    'an array of the classes that the text of a token may name',
    options.only,
  );
}

/** Who holds a signed token is answered with its row, or not at all. */
export const checkVerifyOptions = (options: Omit<VerifyOptions, 'purpose'>): void =>
  refuseAll(options, ['missing', 'signed', 'limits', 'as'], 'none to verify a token');

function refuseAll(options: object | undefined, names: readonly (keyof DeserializeOptions)[], expected: string): void {
  for (const name of names) {
    const value = (options as DeserializeOptions | undefined)?.[name];
    if (value !== undefined) throw ByReferenceError.invalidOption(`option ${name}`, expected, value);
  }
}

export function checkSerializerOptions(options: EntitySerializerOptions): void {
  check(options, SERIALIZER_CHECKS, 'option ');
  if (options.limits !== undefined) check(options.limits, LIMIT_CHECKS, 'option limits.');
}
