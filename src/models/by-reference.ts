import { type AnyEntity, BaseEntity, type EntityManager } from '@mikro-orm/core';
import { aName, type Check, check, isName, names, oneOf } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { PrimaryKey } from '../keys/primary-key.ts';
import { getExtension } from '../orm/context.ts';
import { declaredClassOf, type EntityClass, isGenerated, type SchemaLike } from '../orm/entity-class.ts';
import { byValueJson, configOf, metadataOf } from '../orm/entity.ts';
import { hasRows, ownSchema } from '../orm/metadata.ts';
import { EntityToken, type TokenBody } from '../wire/token.ts';
import { referenceBody } from './entity-reference.ts';
import { type ByReferenceOptions, isMarked, mark, markOf, wireNameOf } from './mark.ts';
import { aFilter, aMissingPolicy } from './per-model.ts';
import { decorateProperty, type Models, type ReferencePropertyOptions } from './reference-property.ts';
import { isDetached } from './snapshot.ts';

/** The wire form that `JSON.stringify(entity)` gives: `{"$entity":["User",1]}`. */
export interface EntityReference {
  /** The model's name and the primary key: `["User",1]`. */
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

const INSTALLED = Symbol.for('mikro-orm-byref.toJSON');

/**
 * Declares a property of a DTO as an entity of one class or several:
 * `@ByReference(() => [Question, Answer]) target!: Question | Answer`. A legacy decorator; `defineDto` does without.
 * @throws E_INVALID_OPTION.
 */
export function ByReference(
  models: Models,
  options?: ReferencePropertyOptions,
): (target: object, property: string | symbol) => void;

/**
 * Marks an entity class as travelling by reference: as a decorator, legacy or TC39, above or below `@Entity()`, or as a
 * plain call, `ByReference()(User)`, before MikroORM discovers the class. On an abstract base it serves the children,
 * each under its own name.
 * @throws E_INVALID_OPTION for a bad option, and for a class with a toJSON of its own where `toJSON` is left open.
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
    const cls = declaredClassOf(target);
    if (cls === undefined) throw ByReferenceError.invalidOption('target of @ByReference', 'an entity class', target);
    if (options.toJSON === undefined && definesToJSON(cls)) {
      throw ByReferenceError.invalidOption(
        `@ByReference on ${cls.name}, which has a toJSON already`,
        'toJSON: true (tokens) or toJSON: false (keep it), before the ORM is initialised',
        undefined,
      );
    }
    mark(cls, options);
    if (markOf(cls)?.toJSON ?? true) installToJSON(cls.prototype as object);
  };
}

/**
 * Shared by the decorator, the mixin and the base class. Resolves the class from the instance, because a base's method
 * serves its children, and MikroORM wraps prototype methods at discovery: nothing may hang on this function's identity.
 */
function toJSON(this: AnyEntity): EntityReference | unknown {
  const cls = this.constructor as EntityClass;
  // Loggers that walk metadata call toJSON on the prototype, which is no entity.
  if ((this as unknown) === cls.prototype) return undefined;
  // A copy that came from elsewhere has no row to name, nor has a virtual entity.
  if (markOf(cls)?.toJSON === false || isDetached(this) || !hasRows(metadataOf(this))) return byValueJson(this);
  return { $entity: bodyOf(this) };
}

/** Without a serializer: from the metadata that the instance carries. */
function bodyOf(entity: AnyEntity): TokenBody {
  const [metadata, config] = [metadataOf(entity), configOf(entity)];
  return referenceBody(entity, {
    name: wireNameOf(metadata),
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
  if (typeof base !== 'function' || base === Function.prototype || isMarked(base)) return false;
  return definesToJSON(base as EntityClass);
}

/** What the serializer of an ORM leaves there for the static `revive` of entity classes. */
export interface ClassReviver {
  reviveAs(token: EntityToken, cls: EntityClass, em: EntityManager): Promise<object>;
}

/** The members that the mixin and the base class give an entity. */
export interface ReferenceMethods {
  /**
   * What `JSON.stringify(entity)` writes, never a copy: `{"$entity":["User",1]}`.
   * @throws E_UNPERSISTED, E_REMOVED, E_UNFLUSHED where its key is changed and not flushed.
   */
  toJSON(): EntityReference;
  /**
   * The token: `user.toToken().toString()`.
   * @throws E_UNPERSISTED, E_REMOVED, E_UNFLUSHED where its key is changed and not flushed.
   */
  toToken(): EntityToken;
}

/** The static members that the mixin and the base class give a class. */
export interface ReferenceStatics {
  /**
   * The current row behind a token or its text, managed by `em`: `await User.revive(token, em)`. Uses the serializer
   * built for the ORM of `em`.
   * @throws E_ENTITY_NOT_FOUND, E_MODEL_NOT_ALLOWED when the token names another class, E_MALFORMED, and
   * E_INVALID_OPTION where there is no serializer; else as `locate`.
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

/**
 * MikroORM's BaseEntity that travels by reference: `class User extends ByReferenceEntity`. It has `toToken()`,
 * `toJSON()` and a static `revive()`.
 */
export abstract class ByReferenceEntity extends ByReferenceMixin(BaseEntity) {}
