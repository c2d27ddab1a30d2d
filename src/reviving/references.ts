import type { AnyEntity, EntityManager, EntityMetadata, FilterOptions } from '@mikro-orm/core';
import { isName } from '../check.ts';
import type { EntitySlot } from '../codec/slot.ts';
import { ByReferenceError } from '../errors.ts';
import { type CanonicalKey, type DatabaseKey, PrimaryKey } from '../keys/primary-key.ts';
import type { Model, ModelRegistry } from '../models/model-registry.ts';
import type { MissingPolicy } from '../models/per-model.ts';
import type { ReferenceProperty } from '../models/reference-property.ts';
import type { DeserializeOptions } from '../options.ts';
import { spansSchemas } from '../orm/metadata.ts';
import { EntityToken, writeTokenBody } from '../wire/token.ts';
import type { EntityManagers } from './entity-managers.ts';

/** One distinct row that a payload names. */
export class Row {
  /** The model of the first token that names it; another token may name a base class. */
  readonly model: Model;
  readonly key: DatabaseKey;
  readonly #slot: EntitySlot;
  /** The entity that stands for the row, once it is known to be there. */
  entity: AnyEntity | undefined = undefined;
  /** The row as this call has read it; another instance than `entity` where that keeps unflushed changes. */
  read: AnyEntity | undefined = undefined;
  unflushed = false;

  constructor(model: Model, key: DatabaseKey, slot: EntitySlot) {
    this.model = model;
    this.key = key;
    this.#slot = slot;
  }

  get path(): string {
    return this.#slot.path;
  }

  /** Made when an error, a report or a callback asks: most rows never need one. */
  get token(): EntityToken {
    const { model, key, schema, version } = this.#slot.parts;
    return EntityToken.fromBody(writeTokenBody(model, key, schema, version));
  }
}

/** One place of a payload that names a row. */
export interface Reference {
  readonly slot: EntitySlot;
  readonly model: Model;
  readonly missing: MissingPolicy;
  readonly row: Row;
}

/** Rows that one query can read: same table, schema, relations and filters. */
export interface RowGroup {
  readonly em: EntityManager;
  readonly metadata: EntityMetadata;
  readonly rank: number;
  readonly primaryKey: PrimaryKey;
  /** The schema to name in the query. */
  readonly schema: string | undefined;
  /** The schema of rows where the query names none. */
  readonly ownSchema: string | undefined;
  readonly populate: readonly string[] | undefined;
  readonly filters: FilterOptions | undefined;
  readonly rows: Map<CanonicalKey, Row>;
}

/** What the options say about one model, looked up once per call. */
interface ModelPlan {
  readonly model: Model;
  readonly em: EntityManager;
  readonly missing: MissingPolicy;
  readonly populate: readonly string[] | undefined;
  readonly filters: FilterOptions | undefined;
  /** The group of rows whose token names no schema. */
  group?: RowGroup;
}

/**
 * Resolves every slot to a row, and rows to groups, without a query. This is where a payload proves itself: names,
 * allow-list, schemas and each part of each key are checked before the database hears of any.
 */
export class References {
  readonly all: Reference[] = [];
  readonly groups: RowGroup[] = [];
  /** By what declares the reference, and by model. */
  readonly #plans = new Map<ReferenceProperty | undefined, Map<string, ModelPlan>>();
  readonly #registry: ModelRegistry;
  readonly #managers: EntityManagers;
  readonly #options: DeserializeOptions;
  readonly #defaults: DeserializeOptions;
  readonly #admitted: ReadonlySet<Model> | undefined;
  /** Who is served, where there are tenants. */
  readonly #tenant: { readonly schema: string | undefined } | undefined;

  constructor(
    slots: readonly EntitySlot[],
    registry: ModelRegistry,
    managers: EntityManagers,
    options: DeserializeOptions,
    defaults: DeserializeOptions,
  ) {
    this.#registry = registry;
    this.#managers = managers;
    this.#options = options;
    this.#defaults = defaults;
    const tenant = options.tenant ?? defaults.tenant;
    this.#tenant = tenant && { schema: tenant() };
    registry.refuseUnknownNames(options);
    this.#admitted = options.only === undefined ? undefined : registry.admittedBy(options.only);
    for (const slot of slots) this.all.push(this.#resolve(slot));
  }

  #resolve(slot: EntitySlot): Reference {
    const { parts } = slot;
    const plan = this.#plans.get(slot.declared)?.get(parts.model) ?? this.#plan(slot);
    const { model } = plan;
    const key = model.primaryKey.read(parts.key);
    if (typeof key === 'string') {
      throw ByReferenceError.malformed(`expected ${key} of ${model.name}`, { path: slot.path, model: model.name });
    }
    if (
      parts.version !== undefined &&
      model.version !== undefined &&
      (typeof parts.version === 'number') === model.version.isDate
    ) {
      const expected = model.version.isDate ? 'a date' : 'an integer';
      throw ByReferenceError.malformed(`expected ${expected} as version of ${model.name}`, {
        path: slot.path,
        model: model.name,
      });
    }
    const { rows } =
      parts.schema === undefined
        ? (plan.group ??= this.#group(plan, this.#schemaOf(plan, slot)))
        : this.#schemaGroup(plan, slot);
    let row = rows.get(key.canonical);
    if (row === undefined) rows.set(key.canonical, (row = new Row(model, key, slot)));
    return { slot, model, missing: plan.missing, row };
  }

  #plan(slot: EntitySlot): ModelPlan {
    const { model: name } = slot.parts;
    const model = this.#registry.findAdmitted(name, this.#admitted, slot.path);
    const [call, defaults, property] = [this.#options, this.#defaults, slot.declared];
    const callFilters = call.filters === false ? false : this.#registry.entryFor(model, call.filters);
    const defaultFilters = defaults.filters === false ? false : this.#registry.entryFor(model, defaults.filters);
    const plan: ModelPlan = {
      model,
      em: this.#managers.of(model.orm),
      missing: property?.missing ?? call.missing ?? model.options.missing ?? defaults.missing ?? 'throw',
      populate:
        (isList(property?.populate) ? property.populate : this.#registry.entryFor(model, property?.populate)) ??
        this.#registry.entryFor(model, call.populate) ??
        model.options.populate ??
        this.#registry.entryFor(model, defaults.populate),
      filters: property?.filters ?? callFilters ?? model.options.filters ?? defaultFilters,
    };
    let plans = this.#plans.get(property);
    if (plans === undefined) this.#plans.set(property, (plans = new Map()));
    plans.set(name, plan);
    return plan;
  }

  /** The schema to name in the query for a token that names none: the row's own, even where the EntityManager is set to another. */
  #schemaOf(plan: ModelPlan, { path }: EntitySlot): string | undefined {
    const { schema } = this.#options;
    if (schema !== undefined) {
      this.#refuseForeignSchema(schema, plan, path);
      return schema;
    }
    const { model, em } = plan;
    if (this.#tenant !== undefined && spansSchemas(model.metadata)) {
      throw ByReferenceError.missingTenant(model.name, path);
    }
    return em.schema === undefined || em.schema === model.schema ? undefined : model.schema;
  }

  #schemaGroup(plan: ModelPlan, slot: EntitySlot): RowGroup {
    const schema = slot.parts.schema!;
    this.#refuseForeignSchema(schema, plan, slot.path);
    return this.#group(plan, schema);
  }

  #refuseForeignSchema(schema: string, { model, em }: ModelPlan, path: string): void {
    const own = [model.schema];
    if (this.#tenant === undefined) own.push(em.schema ?? em.config.get('schema'), this.#options.schema);
    if (own.includes(schema) || this.#admitsSchema(schema)) return;
    const { name } = model;
    if (this.#tenant === undefined) throw ByReferenceError.schemaNotAllowed(schema, name, path);
    const served = this.#tenant.schema;
    if (!isName(served)) throw ByReferenceError.noTenant(schema, name, path);
    if (served !== schema) throw ByReferenceError.wrongTenant(schema, served, name, path);
  }

  #admitsSchema(schema: string): boolean {
    const schemas = this.#options.schemas ?? this.#defaults.schemas ?? [];
    return typeof schemas === 'function' ? schemas(schema) : schemas.includes(schema);
  }

  #group({ model, em, populate, filters }: ModelPlan, schema: string | undefined): RowGroup {
    const metadata = model.queried;
    const found = this.groups.find(
      (group) =>
        group.metadata === metadata &&
        group.schema === schema &&
        group.populate === populate &&
        group.filters === filters,
    );
    if (found !== undefined) return found;
    const primaryKey = PrimaryKey.of(metadata, em.getPlatform());
    const ownSchema = em.schema ?? model.schema;
    const group = {
      em,
      metadata,
      rank: model.rank,
      primaryKey,
      schema,
      ownSchema,
      populate,
      filters,
      rows: new Map<CanonicalKey, Row>(),
    };
    this.groups.push(group);
    return group;
  }
}

const isList = (value: unknown): value is readonly string[] => Array.isArray(value);
