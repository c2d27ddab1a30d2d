import type { AnyEntity, EntityMetadata, MikroORM } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { PrimaryKey } from '../keys/primary-key.ts';
import { classOf, type EntityClass } from '../orm/entity-class.ts';
import { isPopulatable, ownSchema, queriedClass, referencedFirst } from '../orm/metadata.ts';
import { type ByReferenceOptions, markOf } from './by-reference.ts';
import type { PerModel } from './per-model.ts';
import { VersionProperty } from './version.ts';

/** An entity class under its name on the wire. */
export interface Model {
  readonly orm: MikroORM;
  readonly name: string;
  readonly aliases: readonly string[];
  readonly class: EntityClass;
  readonly metadata: EntityMetadata;
  /** What one query reads: the root of a single-table tree, else the class itself. */
  readonly queried: EntityMetadata;
  /** Smaller for tables that others refer to. */
  readonly rank: number;
  readonly primaryKey: PrimaryKey;
  /** The schema its rows are in unless a token says otherwise; undefined where each EntityManager has its own. */
  readonly schema: string | undefined;
  readonly version: VersionProperty | undefined;
  readonly options: ByReferenceOptions;
  /** Marked with @ByReference, itself or by a base class. */
  readonly declared: boolean;
}

export interface RegistryOptions {
  /** `all` (default): every entity of the ORM. `declared`: only classes marked with `@ByReference()`. */
  readonly models?: 'all' | 'declared';
  /** Whether a payload that names an unknown model or value object can succeed later, as during a rolling deploy. Default: `permanent`. */
  readonly unknownModel?: 'permanent' | 'retryable';
}

/**
 * Stable name ↔ entity class, from the metadata of the ORMs. Names resolve through it only, never through globals.
 *
 * Throws E_DUPLICATE_MODEL at construction where a declared name or alias has two meanings, and where a name or a class
 * belongs to two ORMs. Two undeclared classes of one name and ORM are told apart by nothing, and throw it on first use.
 */
export class ModelRegistry {
  readonly orms: readonly MikroORM[];
  readonly #byName = new Map<string, Model[]>();
  readonly #byClass = new Map<unknown, Model>();
  readonly #undeclared = new Set<unknown>();
  readonly #unknownIsRetryable: boolean;
  /** Two undeclared classes share a name. */
  #isAmbiguous = false;

  constructor(orms: readonly MikroORM[], options: RegistryOptions = {}) {
    this.orms = orms;
    this.#unknownIsRetryable = options.unknownModel === 'retryable';
    const others = orms.flatMap((orm) => this.#addAll(orm, options));
    this.#refuseConflicts(others);
  }

  /** Returns what is no model. */
  #addAll(orm: MikroORM, options: RegistryOptions): readonly EntityMetadata[] {
    const others: EntityMetadata[] = [];
    const order = referencedFirst(orm);
    for (const metadata of orm.getMetadata()) {
      const cls = metadata.class as unknown as EntityClass;
      const mark = markOf(cls);
      if (!isReferable(metadata)) {
        if (metadata.embeddable && mark !== undefined) {
          throw ByReferenceError.invalidOption(
            `@ByReference on ${metadata.className}`,
            'an entity, not an embeddable',
            cls,
          );
        }
        others.push(metadata);
      } else if (options.models === 'declared' && mark === undefined) {
        this.#undeclared.add(cls);
      } else {
        this.#add(makeModel(metadata, mark, orm, order));
      }
    }
    return others;
  }

  /** The wire names, sorted. */
  get names(): readonly string[] {
    return Array.from(this.#byClass.values(), (model) => model.name).sort();
  }

  /** The model a payload names, or undefined. Throws E_DUPLICATE_MODEL when the name is ambiguous. */
  find(name: string): Model | undefined {
    const models = this.#byName.get(name);
    if (models !== undefined && models.length > 1) this.#throwDuplicate(name, models[0]!, models[1]!);
    return models?.[0];
  }

  /** The model a payload names. Throws E_UNKNOWN_MODEL, E_DUPLICATE_MODEL. */
  findOrFail(name: string, path?: () => string): Model {
    const model = this.find(name);
    if (model === undefined) throw ByReferenceError.unknownModel(name, this.#unknownIsRetryable, path?.());
    return model;
  }

  /** The model a payload names, where an allow-list is in force. Throws as findOrFail, and E_MODEL_NOT_ALLOWED. */
  findAdmitted(name: string, admitted: ReadonlySet<Model> | undefined, path?: () => string): Model {
    const model = this.findOrFail(name, path);
    if (admitted === undefined || admitted.has(model)) return model;
    throw ByReferenceError.modelNotAllowed(
      name,
      Array.from(admitted, (allowed) => allowed.name),
      path?.(),
    );
  }

  modelOf(cls: unknown): Model | undefined {
    return this.#byClass.get(cls);
  }

  /** The model of an entity's own class. Throws E_UNKNOWN_MODEL, E_DUPLICATE_MODEL. */
  modelOfOrFail(entity: AnyEntity, path?: () => string): Model {
    const cls: unknown = entity.constructor;
    const model = this.#byClass.get(cls);
    if (model !== undefined) return this.#isAmbiguous ? this.findOrFail(model.name) : model;
    const name = (cls as EntityClass).name;
    if (this.#undeclared.has(cls)) throw ByReferenceError.undeclaredModel(name, path?.());
    throw ByReferenceError.unknownModel(name, false, path?.());
  }

  /** The models that an allow-list admits: each class with its subclasses. Throws E_INVALID_OPTION for an unknown class. */
  admittedBy(only: readonly unknown[], option = 'option only'): ReadonlySet<Model> {
    const admitted = new Set<Model>();
    for (const item of only) {
      const cls = classOf(item);
      const before = admitted.size;
      for (const model of this.#byClass.values()) {
        if (model.class === cls || (cls !== undefined && model.class.prototype instanceof cls)) admitted.add(model);
      }
      const isKnown = admitted.size > before || this.#byClass.has(cls);
      if (!isKnown)
        throw ByReferenceError.invalidOption(option, 'classes of this ORM or base classes of them', cls ?? item);
    }
    return admitted;
  }

  /**
   * Throws E_INVALID_OPTION where `populate` or `filters` speak of a model, or a relation, that there is not: a typo
   * would do nothing. Which filters there are only MikroORM knows, as `em.addFilter` adds them at any time.
   */
  refuseUnknownNames(options: { readonly populate?: PerModel<unknown>; readonly filters?: false | PerModel<unknown> }) {
    for (const option of ['populate', 'filters'] as const) {
      for (const [name, value] of Object.entries(options[option] || {})) {
        const model = this.#byName.get(name)?.find((candidate) => candidate.name === name);
        if (model === undefined) {
          throw ByReferenceError.invalidOption(`option ${option}`, `names among ${this.names.join(', ')}`, name);
        }
        if (option === 'populate') refuseUnknownRelations(model, value, `option populate.${name}`);
      }
    }
  }

  /** The entry of the model or of its nearest base class in a list per model. */
  entryFor<T>(model: Model, entries: { readonly [name: string]: T } | undefined): T | undefined {
    if (entries === undefined) return undefined;
    for (let cls: unknown = model.class; typeof cls === 'function'; cls = Object.getPrototypeOf(cls)) {
      const name = this.#byClass.get(cls)?.name;
      if (name !== undefined && Object.hasOwn(entries, name)) return entries[name];
    }
    return undefined;
  }

  #add(model: Model): void {
    const other = this.#byClass.get(model.class);
    if (other !== undefined) throw ByReferenceError.sharedModel(model.name, other.orm.em.name, model.orm.em.name);
    this.#byClass.set(model.class, model);
    for (const name of [model.name, ...model.aliases]) {
      const sharing = this.#byName.get(name);
      this.#isAmbiguous ||= sharing !== undefined;
      if (sharing === undefined) this.#byName.set(name, [model]);
      else sharing.push(model);
    }
  }

  #refuseConflicts(others: readonly EntityMetadata[]): void {
    for (const [name, models] of this.#byName) {
      const [first, second] = models;
      const foreign = models.find(({ orm }) => orm !== first!.orm);
      if (foreign !== undefined) this.#throwDuplicate(name, first!, foreign);
      if (second !== undefined && models.some((model) => model.declared)) this.#throwDuplicate(name, first!, second);
      // An embeddable or a pivot table of that name is no model, but a reader could not tell which one is meant.
      const other = others.find((metadata) => metadata.className === name);
      if (first!.declared && other !== undefined) this.#throwDuplicate(name, first!, { metadata: other });
    }
  }

  #throwDuplicate(name: string, first: Described, second: Described): never {
    throw ByReferenceError.duplicateModel(name, describe(first), describe(second));
  }
}

/** Throws E_INVALID_OPTION for what is no list of relations of a model. */
export function refuseUnknownRelations(
  { name, metadata }: Pick<Model, 'name' | 'metadata'>,
  list: unknown,
  option: string,
) {
  if (!Array.isArray(list)) throw ByReferenceError.invalidOption(option, 'an array of relations', list);
  const unknown: unknown = list.find((path) => typeof path !== 'string' || !isPopulatable(metadata, path));
  if (unknown !== undefined) throw ByReferenceError.invalidOption(option, `relations of ${name}`, unknown);
}

/** Has rows of its own that a key can name: no embeddable, no pivot table, no view without a key, no abstract base. */
function isReferable(metadata: EntityMetadata): boolean {
  // A pivot table that MikroORM has made itself has its name for a class.
  const isPivot = metadata.pivotTable && metadata.className.split('.').at(-1) === metadata.tableName;
  if (metadata.embeddable || metadata.virtual || isPivot || metadata.primaryKeys.length === 0) return false;
  return !metadata.abstract || metadata.root.discriminatorMap !== undefined;
}

function makeModel(
  metadata: EntityMetadata,
  mark: ByReferenceOptions | undefined,
  orm: MikroORM,
  order: readonly unknown[],
): Model {
  const queried = queriedClass(metadata);
  const name = mark?.name ?? metadata.className;
  if (mark?.populate !== undefined)
    refuseUnknownRelations({ name, metadata }, mark.populate, '@ByReference option populate');
  return {
    orm,
    name,
    aliases: mark?.aliases ?? [],
    class: metadata.class as unknown as EntityClass,
    metadata,
    queried,
    rank: order.indexOf(queried.class),
    primaryKey: PrimaryKey.of(metadata, orm.em.getPlatform()),
    schema: ownSchema(metadata, orm.config),
    version: VersionProperty.of(metadata, mark?.version),
    options: mark ?? {},
    declared: mark !== undefined,
  };
}

type Described = Pick<Model, 'metadata'> & Partial<Pick<Model, 'orm'>>;

function describe({ metadata, orm }: Described): string {
  if (metadata.embeddable) return `${metadata.className} (embeddable)`;
  const table = metadata.schema === undefined ? metadata.tableName : `${metadata.schema}.${metadata.tableName}`;
  const context = orm === undefined || orm.em.name === 'default' ? '' : ` of the ORM "${orm.em.name}"`;
  return `${metadata.className} (table "${table}"${context})`;
}
