import type { FilterOptions } from '@mikro-orm/core';
import type { AnyUpgrade } from '../class-transformer/upgrade.ts';
import { type Limits, resolveLimits } from '../codec/limits.ts';
import { ByReferenceError } from '../errors.ts';
import { type Model, type ModelRegistry, refuseUnknownRelations } from '../models/model-registry.ts';
import type { MissingPolicy } from '../models/per-model.ts';
import type { ReferenceProperty } from '../models/reference-property.ts';
import type { DeserializeOptions, ReviveDefaults, TaskReviveOptions } from '../options.ts';
import type { EntityManagers } from './entity-managers.ts';

/** What one call goes by. */
export interface Call {
  readonly settings: Settings;
  readonly managers: EntityManagers;
}

/** The options of a call but for its EntityManagers, merged and checked once: what every stage goes by. */
export interface Settings {
  readonly registry: ModelRegistry;
  readonly limits: Required<Limits>;
  /** What a payload has to be signed for; undefined where it need not be. */
  readonly purpose: string | undefined;
  /** The models that it may name; undefined for all. */
  readonly admitted: ReadonlySet<Model> | undefined;
  readonly as: DeserializeOptions['as'] | undefined;
  /** What `as` was before, the newest first. */
  readonly upgrades: readonly AnyUpgrade[];
  readonly freshness: NonNullable<DeserializeOptions['freshness']>;
  readonly unflushed: NonNullable<DeserializeOptions['unflushed']>;
  readonly drift: NonNullable<DeserializeOptions['drift']>;
  readonly authorize: DeserializeOptions['authorize'] | undefined;
  readonly onRevive: DeserializeOptions['onRevive'] | undefined;
  readonly schema: string | undefined;
  /** The tenant's schema, asked for once a call; undefined without tenants. */
  readonly tenant: (() => string | undefined) | undefined;
  readonly lockMode: DeserializeOptions['lockMode'] | undefined;
  readonly parallel: number | undefined;
  admitsSchema(schema: string): boolean;
  /** How a reference to a model is loaded: property over call over model over serializer over built-in. */
  policyOf(model: Model, property: ReferenceProperty | undefined): LoadPolicy;
}

export interface LoadPolicy {
  readonly missing: MissingPolicy;
  readonly populate: readonly string[] | undefined;
  readonly filters: FilterOptions | undefined;
}

/**
 * Merges the options of a call, which have been checked one by one, over the serializer's. Throws E_INVALID_OPTION for
 * what can't be together, and for names that nothing has.
 */
export function settle(
  options: TaskReviveOptions,
  defaults: ReviveDefaults,
  registry: ModelRegistry,
  limits: Required<Limits>,
): Settings {
  registry.refuseUnknownNames(options);
  const signed = options.signed ?? defaults.signed ?? false;
  const schemas = options.schemas ?? defaults.schemas ?? [];
  const policies = new Map<Model, LoadPolicy>();
  const policyWithoutProperty = (model: Model): LoadPolicy => {
    let policy = policies.get(model);
    if (policy === undefined) policies.set(model, (policy = policyOf(model, undefined, options, defaults, registry)));
    return policy;
  };
  const settings: Settings = {
    registry,
    limits: options.limits === undefined ? limits : resolveLimits(limits, options.limits),
    purpose: signed === false ? undefined : signed.purpose,
    admitted: options.only === undefined ? undefined : registry.admittedBy(options.only),
    as: options.as,
    upgrades: options.upgrade ?? [],
    freshness: options.freshness ?? defaults.freshness ?? 'refresh',
    unflushed: options.unflushed ?? defaults.unflushed ?? 'keep',
    drift: options.drift ?? defaults.drift ?? 'ignore',
    authorize: options.authorize ?? defaults.authorize,
    onRevive: options.onRevive ?? defaults.onRevive,
    parallel: options.parallel ?? defaults.parallel,
    lockMode: options.lockMode,
    schema: options.schema,
    tenant: options.tenant ?? defaults.tenant,
    admitsSchema: (schema) => (typeof schemas === 'function' ? schemas(schema) : schemas.includes(schema)),
    policyOf: (model, property) =>
      property === undefined ? policyWithoutProperty(model) : policyOf(model, property, options, defaults, registry),
  };
  if (settings.freshness === 'lazy') {
    refuseUnseen({ ...settings, missing: options.missing ?? defaults.missing ?? 'throw' });
  }
  return settings;
}

function policyOf(
  model: Model,
  property: ReferenceProperty | undefined,
  call: DeserializeOptions,
  defaults: ReviveDefaults,
  registry: ModelRegistry,
): LoadPolicy {
  const ofProperty = isList(property?.populate) ? property.populate : registry.entryFor(model, property?.populate);
  if (ofProperty !== undefined) refuseUnknownRelations(model, ofProperty, 'option populate of a property');
  return {
    missing: property?.missing ?? call.missing ?? model.options.missing ?? defaults.missing ?? 'throw',
    populate:
      ofProperty ??
      registry.entryFor(model, call.populate) ??
      model.options.populate ??
      registry.entryFor(model, defaults.populate),
    filters:
      property?.filters ??
      filtersOf(model, call, registry) ??
      model.options.filters ??
      filtersOf(model, defaults, registry),
  };
}

const filtersOf = (model: Model, { filters }: ReviveDefaults, registry: ModelRegistry): FilterOptions | undefined =>
  filters === false ? false : registry.entryFor(model, filters);

/** A lazy reference is not read, so nothing could be found missing, changed, locked or forbidden. */
function refuseUnseen(
  settings: Pick<Settings, 'drift' | 'lockMode' | 'authorize'> & { readonly missing: MissingPolicy },
) {
  for (const [name, off] of [
    ['missing', 'throw'],
    ['drift', 'ignore'],
    ['lockMode', undefined],
    ['authorize', undefined],
  ] as const) {
    if (settings[name] !== off) {
      throw ByReferenceError.invalidOption(`option ${name} with freshness: 'lazy'`, String(off), settings[name]);
    }
  }
}

const isList = (value: unknown): value is readonly string[] => Array.isArray(value);
