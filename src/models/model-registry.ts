import type { AnyEntity, EntityMetadata, MikroORM } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { PrimaryKey } from '../keys/primary-key.ts';
import { classOf, type EntityClass, entityNameOf } from '../orm/entity-class.ts';
import { metadataOf } from '../orm/entity.ts';
import { hasRows, isPopulatable, ownSchema, queriedClass, referencedFirst } from '../orm/metadata.ts';
import { type ByReferenceOptions, isMarked, markOf, wireNameOf } from './mark.ts';
import { refuseUnnamed, warnOfMinified } from './names.ts';
import type { PerModel } from './per-model.ts';
import { VersionProperty } from './version.ts';

/** An entity class under its name on the wire. */
export interface Model {
  /** The ORM that its rows are read by. */
  readonly orm: MikroORM;
  /** Its name on the wire: `User`. */
  readonly name: string;
  /** The name of its inheritance tree's root: a row is the same by whichever class of the tree it is named. */
  readonly rootName: string;
  /** Older names that payloads may still have for it. */
  readonly aliases: readonly string[];
  /** The entity class. */
  readonly class: EntityClass;
  /** What MikroORM knows of the class. */
  readonly metadata: EntityMetadata;
  /** What one query reads: the root of a single-table tree, else the class itself. */
  readonly queried: EntityMetadata;
  /** Smaller for tables that others refer to. */
  readonly rank: number;
  /** How its keys travel. */
  readonly primaryKey: PrimaryKey;
  /** The schema its rows are in unless a token says otherwise; undefined where each EntityManager has its own. */
  readonly schema: string | undefined;
  /** The property that dates its rows; undefined where there is none. */
  readonly version: VersionProperty | undefined;
  /** What the class, or a base class of it, was marked with; `{}` where it was not. */
  readonly options: ByReferenceOptions;
  /** Marked with `@ByReference()`, itself or by a base class. */
  readonly declared: boolean;
}

/** Which models there are, and what an unknown one means. */
export interface RegistryOptions {
  /**
   * Which classes travel: every entity of the ORM (`all`), or those marked with `@ByReference()` (`declared`).
   * @defaultValue `'all'`
   */
  readonly models?: 'all' | 'declared';
  /**
   * Refuses models that have no name declared with `@ByReference({ name })`, by E_INVALID_OPTION.
   * @defaultValue false
   */
  readonly requireNames?: boolean;
  /**
   * Whether a payload that names an unknown model or value object can succeed later, as during a rolling deploy:
   * E_UNKNOWN_MODEL and E_UNKNOWN_VALUE are `retryable` then.
   * @defaultValue `'permanent'`
   */
  readonly unknownModel?: 'permanent' | 'retryable';
}

/**
 * Stable name ↔ entity class, from the metadata of the ORMs. Names resolve through it only, never through globals. Two
 * undeclared classes of one name and ORM are told apart by nothing: E_DUPLICATE_MODEL on first use.
 */
export class ModelRegistry {
  /** The ORMs whose entities are models. */
  readonly orms: readonly MikroORM[];
  readonly #byName = new Map<string, Model[]>();
  readonly #byClass = new Map<unknown, Model>();
  /** The classes of all metadata, models or not. */
  readonly #known = new Set<unknown>();
  /** Them by MikroORM's name of the entity, and by that of its class; undefined where it is the name of several. */
  readonly #byEntityName = new Map<string, EntityClass | undefined>();
  readonly #unknownIsRetryable: boolean;
  /** Two undeclared classes share a name. */
  #isAmbiguous = false;

  /**
   * The registry of a serializer is `serializer.registry`.
   * @throws E_DUPLICATE_MODEL where a declared name or alias has two meanings, and where a name or a class belongs to
   * two ORMs.
   */
  constructor(orms: readonly MikroORM[], options: RegistryOptions = {}) {
    this.orms = orms;
    this.#unknownIsRetryable = options.unknownModel === 'retryable';
    const others = orms.flatMap((orm) => this.#addAll(orm, options));
    this.#refuseConflicts(others);
    if (options.requireNames === true) refuseUnnamed(this.#byClass.values());
    else warnOfMinified(this.#byClass.values());
  }

  /** Returns what is no model. */
  #addAll(orm: MikroORM, options: RegistryOptions): readonly EntityMetadata[] {
    const others: EntityMetadata[] = [];
    const order = referencedFirst(orm);
    for (const metadata of orm.getMetadata()) {
      const cls = metadata.class as unknown as EntityClass | undefined;
      // MikroORM 6 has no class for the union of embeddables that one property may hold.
      if (cls === undefined) continue;
      const mark = markOf(cls);
      this.#noteNames(metadata, cls);
      if (!isReferable(metadata)) {
        if (metadata.embeddable && mark !== undefined) refuseMark(metadata, 'an embeddable');
        if (metadata.virtual && isMarked(cls)) refuseMark(metadata, 'a virtual entity');
        others.push(metadata);
      } else if (options.models !== 'declared' || mark !== undefined) {
        this.#add(makeModel(metadata, mark, orm, order));
      }
    }
    return others;
  }

  #noteNames({ className }: EntityMetadata, cls: EntityClass): void {
    this.#known.add(cls);
    for (const name of new Set([className, cls.name])) {
      this.#byEntityName.set(name, this.#byEntityName.has(name) ? undefined : cls);
    }
  }

  /** The wire names, sorted. */
  get names(): readonly string[] {
    return Array.from(this.#byClass.values(), (model) => model.name).sort();
  }

  /**
   * The model a payload names, or undefined.
   * @throws E_DUPLICATE_MODEL when the name is ambiguous.
   */
  find(name: string): Model | undefined {
    const models = this.#byName.get(name);
    if (models !== undefined && models.length > 1) this.#throwDuplicate(name, models[0]!, models[1]!);
    return models?.[0];
  }

  /**
   * The model a payload names.
   * @throws E_UNKNOWN_MODEL, E_DUPLICATE_MODEL.
   */
  findOrFail(name: string, path?: () => string): Model {
    const model = this.find(name);
    if (model === undefined) throw ByReferenceError.unknownModel(name, this.#unknownIsRetryable, path?.());
    return model;
  }

  /**
   * The model a payload names, where an allow-list is in force.
   * @throws as `findOrFail`, and E_MODEL_NOT_ALLOWED.
   */
  findAdmitted(name: string, admitted: ReadonlySet<Model> | undefined, path?: () => string): Model {
    const model = this.findOrFail(name, path);
    if (admitted === undefined || admitted.has(model)) return model;
    throw ByReferenceError.modelNotAllowed(
      name,
      Array.from(admitted, (allowed) => allowed.name),
      path?.(),
    );
  }

  /** The model of a class; undefined where it is none. */
  modelOf(cls: unknown): Model | undefined {
    return this.#byClass.get(cls);
  }

  /**
   * The model of an entity's own class.
   * @throws E_UNKNOWN_MODEL, E_DUPLICATE_MODEL, E_UNSERIALIZABLE.
   */
  modelOfOrFail(entity: AnyEntity, path?: () => string): Model {
    const cls: unknown = entity.constructor;
    const model = this.#byClass.get(cls);
    if (model !== undefined) return this.#isAmbiguous ? this.findOrFail(model.name) : model;
    const metadata = metadataOf(entity);
    const name = wireNameOf(metadata);
    if (!hasRows(metadata)) {
      const what = metadata.virtual ? 'a virtual entity' : 'an entity without a primary key';
      const advice = `it is ${what}, and has no row to name: pass its data as a plain object, { ...it }`;
      throw ByReferenceError.unserializable(`An instance of ${name}`, advice, path?.());
    }
    if (this.#known.has(cls)) throw ByReferenceError.undeclaredModel(name, path?.());
    throw ByReferenceError.unknownModel(name, false, path?.());
  }

  /**
   * The models that an allow-list admits: each class with its subclasses.
   * @throws E_INVALID_OPTION for an unknown class.
   */
  admittedBy(only: readonly unknown[], option = 'option only'): ReadonlySet<Model> {
    const admitted = new Set<Model>();
    for (const item of only) {
      const cls = this.classOf(item);
      if (cls === undefined) throw ByReferenceError.invalidOption(option, EXPECTED_CLASSES, classOf(item) ?? item);
      for (const model of this.#modelsBelow(cls)) admitted.add(model);
    }
    return admitted;
  }

  /**
   * The class of models, or base class of some, that a class or a schema stands for; undefined where there is none. A
   * hot reload imports classes anew: MikroORM finds what they stand for by the entity's name, and so does this.
   */
  classOf(type: unknown): EntityClass | undefined {
    const own = classOf(type);
    const isOwn = this.#known.has(own) || this.#modelsBelow(own).length > 0;
    const cls = isOwn ? own : this.#byEntityName.get(entityNameOf(type) ?? '');
    return this.#modelsBelow(cls).length > 0 ? cls : undefined;
  }

  #modelsBelow(cls: EntityClass | undefined): Model[] {
    if (cls === undefined) return [];
    return [...this.#byClass.values()].filter((model) => model.class === cls || model.class.prototype instanceof cls);
  }

  /**
   * Refuses `populate` and `filters` that speak of a model, or a relation, that there is not: a typo would do nothing.
   * Which filters there are only MikroORM knows, as `em.addFilter` adds them at any time.
   * @throws E_INVALID_OPTION.
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

const EXPECTED_CLASSES = 'classes of this ORM that have rows of their own, or base classes of them';

/**
 * The model that a payload names where only some may be.
 * @throws E_UNKNOWN_MODEL, E_MALFORMED.
 */
export function requireModel(
  name: string,
  models: ReadonlySet<Model>,
  registry: ModelRegistry,
  path: () => string,
): Model {
  const model = registry.findOrFail(name, path);
  if (models.has(model)) return model;
  const expected = Array.from(models, (other) => other.name).join(' or ') || 'no model';
  throw ByReferenceError.malformed(`expected ${expected}, got ${model.name}`, { path: path(), model: model.name });
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

function refuseMark({ className }: EntityMetadata, what: string): never {
  throw ByReferenceError.invalidOption(
    `@ByReference on ${className}`,
    `an entity with rows of its own, not ${what}`,
    className,
  );
}

/** Has rows of its own that a key can name: no embeddable, no pivot table, no view without a key, no abstract base. */
function isReferable(metadata: EntityMetadata): boolean {
  // A pivot table that MikroORM has made itself has its name for a class.
  const isPivot = metadata.pivotTable && metadata.className.split('.').at(-1) === metadata.tableName;
  if (isPivot || !hasRows(metadata)) return false;
  return !metadata.abstract || metadata.root.discriminatorMap !== undefined;
}

function makeModel(
  metadata: EntityMetadata,
  mark: ByReferenceOptions | undefined,
  orm: MikroORM,
  order: readonly unknown[],
): Model {
  const queried = queriedClass(metadata, orm.getMetadata());
  const name = wireNameOf(metadata);
  if (mark?.populate !== undefined)
    refuseUnknownRelations({ name, metadata }, mark.populate, '@ByReference option populate');
  return {
    orm,
    name,
    rootName: wireNameOf(metadata.root),
    aliases: mark?.aliases ?? [],
    class: metadata.class as unknown as EntityClass,
    metadata,
    queried,
    rank: order.indexOf(queried.class),
    primaryKey: PrimaryKey.of(metadata, orm.em.getPlatform()),
    schema: ownSchema(metadata, orm.config),
    version: VersionProperty.of(metadata, mark, orm.em.getPlatform()),
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
