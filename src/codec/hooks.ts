import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { referenceBody } from '../models/entity-reference.ts';
import type { Model, ModelRegistry } from '../models/model-registry.ts';
import { Declared } from '../models/reference-property.ts';
import { copiedEntity, detachedEntity, snapshotData } from '../models/snapshot.ts';
import { decodeValue, encodeValue, type ValueRegistry } from '../models/value-registry.ts';
import { datingAdvice } from '../models/version.ts';
import { hasPendingChanges } from '../orm/entity.ts';
import { wrapperOf } from '../orm/wrapper.ts';
import type { JsonValue } from '../wire/json.ts';
import { isUntagged } from '../wire/tags.ts';
import { EntityToken, identityOf, writeTokenBody } from '../wire/token.ts';
import type { DecodeHooks, InstanceReader } from './decode.ts';
import type { EncodeHooks } from './encode.ts';

/** Told of each entity on its way: as a token, or as a copy. */
export interface EncodeListener {
  entity?(entity: AnyEntity): void;
  copy?(entity: AnyEntity): void;
}

/** What the walkers ask while they walk, answered from the registries of models and of value objects. */
export class WalkerHooks {
  readonly #registry: ModelRegistry;
  /** What every encoding knows of value objects and copies. */
  readonly #naming: Pick<EncodeHooks, 'snapshot' | 'value'>;
  readonly #values: ValueRegistry;

  constructor(registry: ModelRegistry, values: ValueRegistry) {
    this.#registry = registry;
    this.#values = values;
    this.#naming = {
      snapshot: (entity, path) => {
        const { name } = registry.modelOfOrFail(entity, path);
        return { name, data: snapshotData(entity, path) };
      },
      value: (object, path) => {
        const value = values.of(object);
        return value && { name: value.name, data: encodeValue(value, object, path) };
      },
    };
  }

  /** For payloads: each entity is its token. */
  referring(versions: boolean | 'required', unflushed: 'allow' | 'throw', listener: EncodeListener = {}): EncodeHooks {
    return {
      ...this.#naming,
      snapshot: (entity, path) => {
        listener.copy?.(entity);
        return this.#naming.snapshot(entity, path);
      },
      entity: (entity, path) => {
        listener.entity?.(entity);
        const model = this.#registry.modelOfOrFail(entity, path);
        const version = versions === false ? undefined : model.version?.read(entity);
        const body = referenceBody(entity, model, version, path);
        if (versions === 'required' && version === undefined) throw unversioned(model, path);
        if (unflushed === 'throw' && hasPendingChanges(entity)) {
          throw ByReferenceError.unflushed([EntityToken.fromBody(body)], path());
        }
        return { $entity: body };
      },
    };
  }

  /** For keys: a row is the same by whichever class of its tree it is named and however wide its key is, and a token is its row. */
  identifying(): EncodeHooks {
    return {
      ...this.#naming,
      entity: (entity, path) => {
        const model = this.#registry.modelOfOrFail(entity, path);
        return { $entity: identityOf(referenceBody(entity, { ...model, name: model.rootName }, undefined, path)) };
      },
      instance: (instance) => (EntityToken.isToken(instance) ? this.#rowOf(instance) : undefined),
    };
  }

  /** For clones: entities and what stands for them are put into `kept`, and named by their place there. */
  keeping(kept: object[]): EncodeHooks {
    const keep = (object: object): JsonValue => ({ $entity: ['kept', kept.push(object)] });
    return {
      ...this.#naming,
      entity: keep,
      instance: (object) =>
        wrapperOf(object) === undefined && copiedEntity(object) === undefined ? undefined : keep(object),
    };
  }

  /** For payloads: copies of admitted models, registered value objects with the references that they declare. */
  making(admitted?: ReadonlySet<Model>, declared = new Declared()): DecodeHooks {
    return new Making(this.#registry, this.#values, admitted, declared);
  }

  #rowOf(token: EntityToken): JsonValue {
    const name = this.#registry.find(token.model)?.rootName ?? token.model;
    return { $entity: identityOf(writeTokenBody(name, token.toBody()[1]!, token.schema, undefined)) };
  }
}

class Making implements DecodeHooks {
  readonly #registry: ModelRegistry;
  readonly #values: ValueRegistry;
  readonly #admitted: ReadonlySet<Model> | undefined;
  readonly #declared: Declared;

  constructor(
    registry: ModelRegistry,
    values: ValueRegistry,
    admitted: ReadonlySet<Model> | undefined,
    declared: Declared,
  ) {
    this.#registry = registry;
    this.#values = values;
    this.#admitted = admitted;
    this.#declared = declared;
  }

  snapshot(name: string, path: () => string): InstanceReader {
    const { metadata } = this.#registry.findAdmitted(name, this.#admitted, path);
    return {
      check: (data) => requireObject(data, name, path),
      make: (data) => detachedEntity(metadata, data, path),
    };
  }

  value(name: string, path: () => string): InstanceReader {
    const value = this.#values.findOrFail(name, path);
    const { check } = value.codec;
    return {
      ...(check && { check: (data, at) => check(data, at, this.#declared) }),
      make: (data) => decodeValue(value, data, path),
    };
  }
}

const unversioned = ({ name, metadata, version }: Model, path: () => string): ByReferenceError =>
  ByReferenceError.unversioned(name, version === undefined ? datingAdvice(metadata) : 'load it first', path());

/** A copy's data is a plain object; what a tag stands for is none. */
function requireObject(data: JsonValue, name: string, path: () => string): void {
  if (!isUntagged(data)) throw ByReferenceError.malformed(`expected an object as a copy of ${name}`, { path: path() });
}
