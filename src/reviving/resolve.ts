import type { AnyEntity, Dictionary, EntityManager, EntityMetadata, FilterOptions } from '@mikro-orm/core';
import { isName } from '../check.ts';
import type { EntitySlot } from '../codec/slot.ts';
import { ByReferenceError } from '../errors.ts';
import { type CanonicalKey, type DatabaseKey, PrimaryKey } from '../keys/primary-key.ts';
import type { Model } from '../models/model-registry.ts';
import type { ReferenceProperty } from '../models/reference-property.ts';
import { notedSchema, spansSchemas } from '../orm/metadata.ts';
import type { JsonValue } from '../wire/json.ts';
import type { EntityToken } from '../wire/token.ts';
import type { EntityManagers } from './entity-managers.ts';
import { requireLockable } from './row-locks.ts';
import type { Call, LoadPolicy, Settings } from './settings.ts';

/** One distinct row that payloads name, by its key. */
export class Row implements DatabaseKey {
  /** The model of the first token that names it; another token may name a base class. */
  readonly model: Model;
  readonly value: unknown;
  readonly canonical: CanonicalKey;
  readonly #slot: EntitySlot;
  /** The entity that stands for the row, once it is known to be there. */
  entity: AnyEntity | undefined = undefined;
  /** The row as this call has read it; another instance than `entity` where that is kept. */
  read: AnyEntity | undefined = undefined;
  /** The columns of the row as they are, where `entity` keeps unflushed changes. */
  stored: Dictionary | undefined = undefined;
  unflushed = false;
  /** The references that know a version of it. */
  dated: Reference[] | undefined = undefined;

  constructor(model: Model, { value, canonical }: Pick<DatabaseKey, 'value' | 'canonical'>, slot: EntitySlot) {
    this.model = model;
    this.value = value;
    this.canonical = canonical;
    this.#slot = slot;
  }

  /** The same row, not read yet. */
  copy(): Row {
    return new Row(this.model, this, this.#slot);
  }

  get wire(): JsonValue {
    return this.#slot.key;
  }

  get path(): string {
    return this.#slot.path;
  }

  get token(): EntityToken {
    return this.#slot.token;
  }
}

/** One place of a payload that names a row. */
export class Reference {
  readonly slot: EntitySlot;
  readonly plan: ModelPlan;
  /** Of several references to one row that of the first, once the whole payload is known to be sound. */
  row: Row;

  constructor(slot: EntitySlot, plan: ModelPlan, row: Row) {
    this.slot = slot;
    this.plan = plan;
    this.row = row;
  }
}

/** Rows that one query can read: same table, schema, relations and filters. */
export class RowGroup {
  /** The model of the first token in it. */
  readonly model: Model;
  readonly em: EntityManager;
  readonly policy: LoadPolicy;
  /** The schema to name in the query. */
  readonly schema: string | undefined;
  readonly metadata: EntityMetadata;
  readonly primaryKey: PrimaryKey;
  readonly rows: Map<CanonicalKey, Row>;

  constructor(
    { model, em, policy }: Pick<ModelPlan, 'model' | 'em' | 'policy'>,
    schema: string | undefined,
    rows = new Map<CanonicalKey, Row>(),
  ) {
    this.model = model;
    this.em = em;
    this.policy = policy;
    this.schema = schema;
    this.metadata = model.queried;
    this.primaryKey = PrimaryKey.of(this.metadata, em.getPlatform());
    this.rows = rows;
  }

  /** The same rows, not read yet, for another EntityManager. */
  copyFor(em: EntityManager): RowGroup {
    const rows = Array.from(this.rows, ([key, row]) => [key, row.copy()] as const);
    return new RowGroup({ ...this, em }, this.schema, new Map(rows));
  }

  /** The schema of rows where the query names none. */
  get ownSchema(): string | undefined {
    return this.em.schema ?? notedSchema(this.model.metadata, this.em.config);
  }

  get populate(): readonly string[] | undefined {
    return this.policy.populate;
  }

  get filters(): FilterOptions | undefined {
    return this.policy.filters;
  }
}

/** How a model is loaded where one property, or none, declares it; looked up once per call. */
interface ModelPlan {
  readonly model: Model;
  readonly em: EntityManager;
  readonly policy: LoadPolicy;
  /** The group of rows whose token names no schema. */
  group: RowGroup | undefined;
}

/**
 * Slots → references, and rows in groups, without a query. This is where a payload proves itself: names, allow-list,
 * schemas and each part of each key are checked before the database hears of any.
 */
export class Resolver {
  /** The rows of all payloads that have proved themselves. */
  readonly groups: RowGroup[] = [];
  /** Those of rows whose token, or the call, names a schema: a payload may name as many as rows. */
  #bySchema: Map<string, RowGroup[]> | undefined;
  /** The others. */
  readonly #withoutSchema: RowGroup[] = [];
  readonly #settings: Settings;
  readonly #managers: EntityManagers;
  /** By model, where no property declares the reference. */
  readonly #plans = new Map<string, ModelPlan>();
  /** By the property that does. */
  #declared: Map<ReferenceProperty, Map<string, ModelPlan>> | undefined;
  /** Who is served, where there are tenants; asked for with the first reference. */
  #tenant: { readonly schema: string | undefined } | undefined;

  constructor({ settings, managers }: Call) {
    this.#settings = settings;
    this.#managers = managers;
  }

  /**
   * The references of one payload. Throws E_UNKNOWN_MODEL, E_MODEL_NOT_ALLOWED, E_MALFORMED, those of schemas and
   * tenants; E_INVALID_OPTION and E_UNSUPPORTED where its rows can't be read as the options ask.
   */
  resolve(slots: readonly EntitySlot[]): readonly Reference[] {
    // The whole payload first: the rows of one that is refused must not reach the query of the others.
    const references = slots.map((slot) => this.#check(slot));
    for (const reference of references) {
      const { rows } = this.#groupOf(reference);
      const known = rows.get(reference.row.canonical);
      if (known === undefined) rows.set(reference.row.canonical, reference.row);
      else reference.row = known;
      if (reference.slot.version !== undefined) (reference.row.dated ??= []).push(reference);
    }
    return references;
  }

  #check(slot: EntitySlot): Reference {
    const plans = slot.declared === undefined ? this.#plans : this.#plansOf(slot.declared);
    let plan = plans.get(slot.model);
    if (plan === undefined) plans.set(slot.model, (plan = this.#plan(slot)));
    const { model } = plan;
    const key = model.primaryKey.read(slot.key);
    if (typeof key === 'string') throw malformed(`expected ${key} of ${model.name}`, slot, model);
    if (
      slot.version !== undefined &&
      model.version !== undefined &&
      (typeof slot.version === 'number') === model.version.isDate
    ) {
      const expected = model.version.isDate ? 'a date' : 'an integer';
      throw malformed(`expected ${expected} as version of ${model.name}`, slot, model);
    }
    this.#refuseSchema(plan, slot);
    return new Reference(slot, plan, new Row(model, key, slot));
  }

  #plansOf(property: ReferenceProperty): Map<string, ModelPlan> {
    this.#declared ??= new Map();
    let plans = this.#declared.get(property);
    if (plans === undefined) this.#declared.set(property, (plans = new Map()));
    return plans;
  }

  #plan(slot: EntitySlot): ModelPlan {
    const { declared } = slot;
    const { registry, admitted, freshness, lockMode, tenant } = this.#settings;
    if (tenant !== undefined) this.#tenant ??= { schema: tenant() };
    const model = registry.findAdmitted(slot.model, admitted, () => slot.path);
    if (freshness === 'lazy') refuseUnseen(declared);
    const em = this.#managers.of(model.orm);
    // Of several ORMs some may be in a transaction: then it is the payload that names the wrong rows.
    if (lockMode !== undefined) requireLockable(em, lockMode, registry.orms.length > 1 ? slot.path : undefined);
    return { model, em, policy: this.#settings.policyOf(model, declared), group: undefined };
  }

  #refuseSchema(plan: ModelPlan, slot: EntitySlot): void {
    const { schema } = slot;
    if (schema !== undefined) return this.#refuseForeignSchema(schema, plan, slot);
    // The answer is the same for every such token of a plan.
    if (plan.group !== undefined) return;
    if (this.#settings.schema !== undefined) this.#refuseForeignSchema(this.#settings.schema, plan, slot);
    else if (this.#tenant !== undefined && spansSchemas(plan.model.metadata)) {
      throw ByReferenceError.missingTenant(plan.model.name, slot.path);
    }
  }

  #refuseForeignSchema(schema: string, { model, em }: ModelPlan, slot: EntitySlot): void {
    const own = [model.schema];
    if (this.#tenant === undefined) own.push(em.schema ?? em.config.get('schema'), this.#settings.schema);
    if (own.includes(schema) || this.#settings.admitsSchema(schema)) return;
    const { name } = model;
    if (this.#tenant === undefined) throw ByReferenceError.schemaNotAllowed(schema, name, slot.path);
    const served = this.#tenant.schema;
    if (!isName(served)) throw ByReferenceError.noTenant(schema, name, slot.path);
    if (served !== schema) throw ByReferenceError.wrongTenant(schema, served, name, slot.path);
  }

  #groupOf({ plan, slot }: Reference): RowGroup {
    const { schema } = slot;
    return schema === undefined ? (plan.group ??= this.#group(plan, this.#schemaOf(plan))) : this.#group(plan, schema);
  }

  /** The schema to name in the query for a token that names none: the row's own, even where the EntityManager is set to another. */
  #schemaOf({ model, em }: ModelPlan): string | undefined {
    if (this.#settings.schema !== undefined) return this.#settings.schema;
    const { schema } = em;
    return schema === undefined || schema === model.schema ? undefined : model.schema;
  }

  #group(plan: ModelPlan, schema: string | undefined): RowGroup {
    const { populate, filters } = plan.policy;
    const others = schema === undefined ? this.#withoutSchema : this.#groupsIn(schema);
    const found = others.find(
      (group) => group.metadata === plan.model.queried && group.populate === populate && group.filters === filters,
    );
    if (found !== undefined) return found;
    const group = new RowGroup(plan, schema);
    this.groups.push(group);
    others.push(group);
    return group;
  }

  #groupsIn(schema: string): RowGroup[] {
    this.#bySchema ??= new Map();
    let groups = this.#bySchema.get(schema);
    if (groups === undefined) this.#bySchema.set(schema, (groups = []));
    return groups;
  }
}

/** A lazy reference is not read: no property can say what to do where the row is missing. */
function refuseUnseen(property: ReferenceProperty | undefined): void {
  const missing = property?.missing ?? 'throw';
  if (missing === 'throw') return;
  throw ByReferenceError.invalidOption("option missing of a property with freshness: 'lazy'", 'throw', missing);
}

const malformed = (what: string, { path }: EntitySlot, { name }: Model): ByReferenceError =>
  ByReferenceError.malformed(what, { path, model: name });
