import type { AnyEntity, EntityManager, FilterOptions, LockMode } from '@mikro-orm/core';
import type { JsonObject } from './json.ts';
import type { SigningKey, SignOptions } from './signing.ts';
import type { EntityToken } from './token.ts';
import type { ValueClass } from './value-registry.ts';

/** A class that entities are instances of, abstract ones included. */
export type EntityClass<T extends object = object> = abstract new (...args: never[]) => T;

/**
 * What stands for a row that is gone, hidden by a filter, or no longer an instance of the named class:
 * - `throw`: E_ENTITY_NOT_FOUND with all missing tokens
 * - `null`: null in its place
 * - `omit`: nothing; its array element, Set or Map entry or object key is dropped
 */
export type MissingPolicy = 'throw' | 'null' | 'omit';

/** A value per model, by wire name; a base class's entry serves the subclasses that have none. */
export type PerModel<T> = { readonly [model: string]: T };

/** What a row's drift looks like to a callback. */
export interface Drift {
  readonly entity: AnyEntity;
  readonly token: EntityToken;
  /** The version property when the token was made. */
  readonly serialized: number | Date;
  /** The version property now. */
  readonly current: number | Date;
}

/** What one call revived. Published on the diagnostics channel `mikro-orm-byref:revive` too. */
export interface ReviveReport {
  /** References met, duplicates counted. */
  readonly tokens: number;
  /** Distinct rows they name. */
  readonly rows: number;
  /** Queries sent for them; what `populate` adds is MikroORM's and not counted. */
  readonly queries: number;
  /** Milliseconds from the first query to the last entity in place. */
  readonly ms: number;
  readonly missing: readonly EntityToken[];
  readonly drifted: readonly EntityToken[];
  /** Entities returned with their unflushed changes, not re-read. */
  readonly unflushed: readonly EntityToken[];
}

/** How much a payload may hold. */
export interface Limits {
  /** Nested arrays and objects. Default: 200. */
  readonly depth?: number;
  /** JSON values in all. Default: 1,000,000. */
  readonly nodes?: number;
  /** References to entities. Default: 100,000. */
  readonly tokens?: number;
  /** UTF-16 code units of a text payload. Default: 64 Mi. */
  readonly length?: number;
}

/** Defaults that a serializer may set for its calls, and a call may override. */
export interface ReviveDefaults {
  /** Default: `throw`. A model's own `missing` goes before the serializer's, a call's before both. */
  readonly missing?: MissingPolicy;
  /**
   * - `refresh` (default): every row is read again
   * - `managed`: what this EntityManager has loaded is kept, only the rest is read
   * - `lazy`: references without a query; only with `missing: 'throw'`, and nothing is found missing
   */
  readonly freshness?: 'refresh' | 'managed' | 'lazy';
  /**
   * What happens to an entity of this EntityManager with unflushed changes:
   * - `keep` (default): returned as it is; that its row exists is still checked
   * - `throw`: E_UNFLUSHED before any query
   * - `overwrite`: the row's values replace the changes
   */
  readonly unflushed?: 'keep' | 'throw' | 'overwrite';
  /** Relations to load per model, as in `em.find`. Default: the model's own. */
  readonly populate?: PerModel<readonly string[]>;
  /** Filters to switch per model, as in `em.find`; false switches off all of all models. Default: the application's own. */
  readonly filters?: false | PerModel<FilterOptions>;
  /** Schemas that tokens may name besides the EntityManager's and the model's own. Default: none. */
  readonly schemas?: readonly string[] | ((schema: string) => boolean);
  /**
   * The schema of the tenant that is served, undefined for none. With it the schema of a token, or of the option
   * `schema`, has to be its model's own or this one, or admitted by `schemas`, whatever that of the EntityManager: any
   * other is E_WRONG_TENANT, and E_NO_TENANT where there is none; a token without one of a model in many schemas
   * (`schema: '*'`) is E_MISSING_TENANT. All before any query. Default: no tenants.
   */
  readonly tenant?: () => string | undefined;
  /**
   * What a row newer than its token's version means: nothing (`ignore`, default), E_DRIFT (`throw`), or what the
   * callback decides by throwing or not. A row older than its token is E_NOT_YET_VISIBLE in any case.
   */
  readonly drift?: 'ignore' | 'throw' | ((drift: Drift) => void | Promise<void>);
  /** Decides whether the caller may have an entity; a refused one looks exactly like a missing row. Once per row. */
  readonly authorize?: (entity: AnyEntity, token: EntityToken) => boolean | Promise<boolean>;
  /** Called after each call that met references. */
  readonly onRevive?: (report: ReviveReport) => void;
  /**
   * Queries at once outside a transaction. Default: 4 for up to 1,000 rows, else 2, so that referenced rows are
   * hydrated first.
   */
  readonly parallel?: number;
  readonly limits?: Limits;
  /**
   * Demands that a payload is signed for a purpose: any other, and an unsigned one, is E_BAD_SIGNATURE. Default: false;
   * a signature that is there is verified all the same.
   */
  readonly signed?: false | { readonly purpose: string };
}

export interface DeserializeOptions<
  Only extends readonly EntityClass[] = readonly EntityClass[],
> extends ReviveDefaults {
  /**
   * Whose identity map receives the entities; an array with one for each of several ORMs. Default: the request
   * context's; without one it must be given.
   */
  readonly em?: EntityManager | readonly EntityManager[];
  /** The classes a payload may name, subclasses included; any other is E_MODEL_NOT_ALLOWED, before any query. */
  readonly only?: Only;
  /**
   * A DTO: the payload must have its declared keys and no other, references of the declared classes where it declares
   * them, and comes back as its instance. Anything else is E_MALFORMED, before any query. Needs class-transformer.
   */
  readonly as?: new () => object;
  /** The schema of rows whose token names none, as in `em.find`. Default: the model's own. */
  readonly schema?: string;
  /** Row locks taken while reading; needs a transaction. Losers of SKIP LOCKED and NOWAIT are E_LOCKED. */
  readonly lockMode?: LockMode;
}

export interface TokenOptions {
  /** Puts each model's version property into its tokens, so that the receiver can see drift. Default: false. */
  readonly versions?: boolean;
  /** Whether an entity with unflushed changes may be serialized (`allow`, default) or is E_UNFLUSHED (`throw`). */
  readonly unflushed?: 'allow' | 'throw';
}

export interface SerializeOptions extends TokenOptions {
  /** Signs the payload, for readers that demand it with `signed`. Default: no signature. */
  readonly sign?: SignOptions;
  /** Plain JSON beside the data, for a transport's own use; a signature covers it. Default: none. */
  readonly metadata?: JsonObject;
  /** @internal Told of each entity on the way. */
  readonly onEntity?: (entity: AnyEntity) => void;
  /** @internal Told of each entity that travels as a copy. */
  readonly onCopy?: (entity: AnyEntity) => void;
}

/** What `verify` takes: the purpose, and how the row is revived; one that is missing is always E_ENTITY_NOT_FOUND. */
export type VerifyOptions<Only extends readonly EntityClass[] = readonly EntityClass[]> = Omit<
  DeserializeOptions<Only>,
  'missing' | 'signed' | 'limits' | 'as'
> & { readonly purpose: string };

export interface EntitySerializerOptions extends ReviveDefaults, Pick<TokenOptions, 'versions'> {
  /** `all` (default): every entity of the ORM. `declared`: only classes marked with `@ByReference()`. */
  readonly models?: 'all' | 'declared';
  /** Secrets that sign and verify: the first signs, all verify. Default: none, and nothing can be signed. */
  readonly signingKeys?: readonly SigningKey[];
  /** Milliseconds since the epoch, for the expiry of signatures. Default: `Date.now`. */
  readonly clock?: () => number;
  /** The value objects that travel: classes marked with `@ByValue()`. Default: none. */
  readonly values?: readonly ValueClass[];
  /** Whether a payload that names an unknown model or value object can succeed later, as during a rolling deploy. Default: `permanent`. */
  readonly unknownModel?: 'permanent' | 'retryable';
}

const DEFAULT_LIMITS: Required<Limits> = { depth: 200, nodes: 1_000_000, tokens: 100_000, length: 64 * 2 ** 20 };

/** The default limits with those of the layers over them, later ones first; an undefined one switches nothing off. */
export function resolveLimits(...layers: readonly (Limits | undefined)[]): Required<Limits> {
  const limits = { ...DEFAULT_LIMITS };
  for (const layer of layers) {
    for (const name of Object.keys(limits) as (keyof Limits)[]) limits[name] = layer?.[name] ?? limits[name];
  }
  return limits;
}
