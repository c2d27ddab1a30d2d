import { type AnyEntity, BaseEntity, type EntityManager, type FilterOptions } from '@mikro-orm/core';
import { aName, type Check, check, isName, names, oneOf } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { PrimaryKey } from '../keys/primary-key.ts';
import { getExtension } from '../orm/context.ts';
import { classOf, type EntityClass, isGenerated, type SchemaLike } from '../orm/entity-class.ts';
import { byValueJson, configOf, metadataOf } from '../orm/entity.ts';
import { ownSchema } from '../orm/metadata.ts';
import { EntityToken, type TokenBody } from '../wire/token.ts';
import { referenceBody } from './entity-reference.ts';
import { aFilter, aMissingPolicy, type MissingPolicy } from './per-model.ts';
import { decorateProperty, type Models, type ReferencePropertyOptions } from './reference-property.ts';
import { isDetached } from './snapshot.ts';

/** How a class travels; every member has a default. */
export interface ByReferenceOptions {
  /** The name on the wire. It outlives renames of the class and minifiers. Default: the class name. */
  readonly name?: string;
  /** Names that payloads of earlier releases carry and that still mean this class. Default: none. */
  readonly aliases?: readonly string[];
  /**
   * What `JSON.stringify` writes for an entity: true its token, false what MikroORM or the class itself wrote before
   * (REST responses stay as they are; only this library's own calls use tokens). Default: true. A class with a toJSON
   * of its own must choose.
   */
  readonly toJSON?: boolean;
  /** The integer or date property that changes with each update, for drift. Default: MikroORM's version property. */
  readonly version?: string;
  /** What stands for a row of this class that is gone. Default: what the call or the serializer says. */
  readonly missing?: MissingPolicy;
  /** Relations to load with the entity, as in `em.find`. Default: none. */
  readonly populate?: readonly string[];
  /** Filters to switch, as in `em.find`. Default: the application's own. */
  readonly filters?: FilterOptions;
}

/** The wire form that `JSON.stringify(entity)` gives: `{"$entity":["User",1]}`. */
export interface EntityReference {
  readonly $entity: TokenBody;
}

const CLASS_CHECKS: Record<keyof ByReferenceOptions, Check> = {
  name: aName,
  aliases: names,
  toJSON: oneOf(true, false),
  version: ['the name of a property', isName],
  missing: aMissingPolicy,
  populate: names,
  filters: aFilter,
};

const checkClassOptions = (options: ByReferenceOptions): void => check(options, CLASS_CHECKS, '@ByReference option ');

const OPTIONS = Symbol.for('mikro-orm-byref.options');

const INSTALLED = Symbol.for('mikro-orm-byref.toJSON');

interface MarkedClass {
  readonly [OPTIONS]?: ByReferenceOptions;
}

/**
 * Declares a property of a DTO as an entity of one class or several:
 * `@ByReference(() => [Question, Answer]) target!: Question | Answer`. A legacy decorator; `defineDto` does without.
 */
export function ByReference(
  models: Models,
  options?: ReferencePropertyOptions,
): (target: object, property: string | symbol) => void;

/**
 * Marks an entity class as travelling by reference: as a decorator, legacy or TC39, above or below `@Entity()`, or as
 * a plain call, `ByReference()(User)`, before MikroORM discovers the class. On an abstract base it serves the
 * children, each under its own name.
 *
 * Throws E_INVALID_OPTION for a bad option, and for a class with a toJSON of its own where `toJSON` is left open.
 */
export function ByReference(
  options?: ByReferenceOptions,
): (target: EntityClass | SchemaLike, context?: unknown) => void;

export function ByReference(first: ByReferenceOptions | Models = {}, options?: ReferencePropertyOptions): unknown {
  return typeof first === 'function' ? decorateProperty(first, options) : decorateClass(first);
}

function decorateClass(options: ByReferenceOptions): (target: EntityClass | SchemaLike) => void {
  checkClassOptions(options);
  return (target) => {
    const cls = classOf(target);
    if (cls === undefined) throw ByReferenceError.invalidOption('target of @ByReference', 'an entity class', target);
    if (options.toJSON === undefined && definesToJSON(cls)) {
      throw ByReferenceError.invalidOption(
        `@ByReference on ${cls.name}, which has a toJSON already`,
        'toJSON: true (tokens) or toJSON: false (keep it), before the ORM is initialised',
        undefined,
      );
    }
    Object.defineProperty(cls, OPTIONS, { value: options, configurable: true });
    if (markOf(cls)?.toJSON ?? true) installToJSON(cls.prototype as object);
  };
}

/** The options of a class, those of its base classes included but for their names; undefined when nothing is marked. */
export function markOf(cls: EntityClass): ByReferenceOptions | undefined {
  const own = Object.hasOwn(cls, OPTIONS) ? (cls as MarkedClass)[OPTIONS] : undefined;
  const base: unknown = Object.getPrototypeOf(cls);
  const inherited = typeof base === 'function' && base !== Function.prototype ? markOf(base as EntityClass) : undefined;
  if (inherited === undefined) return own;
  const { name: _name, aliases: _aliases, ...shared } = inherited;
  return { ...shared, ...own };
}

/** The wire name of a class. */
const nameOf = (cls: EntityClass): string => markOf(cls)?.name ?? cls.name;

/**
 * Shared by the decorator, the mixin and the base class. Resolves the class from the instance, because a base's method
 * serves its children, and MikroORM wraps prototype methods at discovery: nothing may hang on this function's identity.
 */
function toJSON(this: AnyEntity): EntityReference | unknown {
  const cls = this.constructor as EntityClass;
  // Loggers that walk metadata call toJSON on the prototype, which is no entity.
  if ((this as unknown) === cls.prototype) return undefined;
  // A copy that came from elsewhere has no row to name.
  if (markOf(cls)?.toJSON === false || isDetached(this)) return byValueJson(this);
  return { $entity: bodyOf(this) };
}

/** Without a serializer: under the class's own name, from the metadata that the instance carries. */
function bodyOf(entity: AnyEntity): TokenBody {
  const [metadata, config] = [metadataOf(entity), configOf(entity)];
  return referenceBody(entity, {
    name: nameOf(entity.constructor as EntityClass),
    primaryKey: PrimaryKey.of(metadata, config.getPlatform()),
    schema: ownSchema(metadata, config),
  });
}

function installToJSON(prototype: object): void {
  Object.defineProperty(prototype, 'toJSON', { value: toJSON, writable: true, configurable: true });
  Object.defineProperty(prototype, INSTALLED, { value: true, configurable: true });
}

/** True when the class, or a base class above which nobody has chosen yet, brings a toJSON that is not this library's. */
function definesToJSON(cls: EntityClass): boolean {
  const prototype = cls.prototype as object;
  if (Object.hasOwn(prototype, 'toJSON')) return !Object.hasOwn(prototype, INSTALLED);
  const base: unknown = Object.getPrototypeOf(cls);
  if (typeof base !== 'function' || base === Function.prototype || Object.hasOwn(base, OPTIONS)) return false;
  return definesToJSON(base as EntityClass);
}

/** What the serializer of an ORM leaves there for the static `revive` of entity classes. */
export interface ClassReviver {
  reviveAs(token: EntityToken, cls: EntityClass, em: EntityManager): Promise<object>;
}

/** The members that the mixin and the base class give an entity. */
export interface ReferenceMethods {
  /** The token as JSON, so that `JSON.stringify(entity)` never writes a copy. Throws E_UNPERSISTED, E_REMOVED. */
  toJSON(): EntityReference;
  /** The token. Throws E_UNPERSISTED, E_REMOVED. */
  toToken(): EntityToken;
}

/** The static members that the mixin and the base class give a class. */
export interface ReferenceStatics {
  /**
   * The row of now behind a token or its text, managed by `em`. Uses the serializer built for the ORM of `em`.
   * Throws E_ENTITY_NOT_FOUND, E_MODEL_NOT_ALLOWED when the token names another class, E_MALFORMED.
   */
  revive<C extends EntityClass>(this: C, token: EntityToken | string, em: EntityManager): Promise<InstanceType<C>>;
}

/**
 * `class User extends ByReferenceMixin(Model)`: the decorator's effect and `toToken()`, `revive()` on a base class of
 * your own.
 */
export function ByReferenceMixin<Base extends EntityClass>(
  base: Base,
): Omit<Base, 'prototype'> &
  ReferenceStatics &
  (abstract new (...args: ConstructorParameters<Base>) => InstanceType<Base> & ReferenceMethods) {
  abstract class ByReferenceBase extends (base as unknown as new () => object) {
    static async revive(token: EntityToken | string, em: EntityManager): Promise<object> {
      const reviver = getExtension(em) as ClassReviver | undefined;
      if (reviver === undefined) {
        throw ByReferenceError.invalidOption('em', 'one whose ORM has an EntitySerializer; build one at start', em);
      }
      const parsed = typeof token === 'string' ? EntityToken.parse(token) : token;
      return reviver.reviveAs(parsed, this as unknown as EntityClass, em);
    }

    toToken(): EntityToken {
      return EntityToken.fromBody(bodyOf(this as AnyEntity));
    }
  }
  // MikroORM tells base classes apart by name: two mixins of one name would share their properties. It also knows by its
  // name that a class which it has generated is no base of the one that is set in its place.
  const name = isGenerated(base) ? base.name : `ByReference${base.name}`;
  Object.defineProperty(ByReferenceBase, 'name', { value: name });
  ByReference({ toJSON: true })(ByReferenceBase as unknown as EntityClass);
  return ByReferenceBase as never;
}

/** MikroORM's BaseEntity that travels by reference. */
export abstract class ByReferenceEntity extends ByReferenceMixin(BaseEntity) {}
