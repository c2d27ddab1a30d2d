import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import type { PrimaryKey } from '../keys/primary-key.ts';
import { isUnidentified, rowSchemaOf, stateOf } from '../orm/entity.ts';
import { EntityToken, type TokenBody, writeTokenBody } from '../wire/token.ts';

/** What a reference needs to know of a class; a Model is one. */
export interface Referable {
  readonly name: string;
  readonly primaryKey: PrimaryKey;
  /** The schema that goes without saying. */
  readonly schema: string | undefined;
}

/**
 * The token body of an entity: `["User",1]`. Reads only what is in memory.
 * Throws E_UNPERSISTED, E_REMOVED, E_UNFLUSHED for a key that is changed and not flushed, and E_UNSERIALIZABLE for one
 * that its columns could not hold, or of a type that no key is made of.
 */
export function referenceBody(
  entity: AnyEntity,
  referable: Referable,
  version?: number | Date | undefined,
  path?: () => string,
): TokenBody {
  const state = stateOf(entity);
  if (state === 'new') throw ByReferenceError.unpersisted(referable.name, path?.());
  if (state === 'removed') throw ByReferenceError.removed(referable.name, path?.());
  const body = rowBody(entity, referable, version, path);
  // The row has its old key until the flush and the new one after it: which one a reader meets, nobody knows.
  if (referable.primaryKey.isChanged(entity)) throw ByReferenceError.unflushed([EntityToken.fromBody(body)], path?.());
  return body;
}

/** The same for an entity whatever its state: for one whose row is being written or deleted. Names the stored key. */
export function rowBody(
  entity: AnyEntity,
  { name, primaryKey, schema: ownSchema }: Referable,
  version?: number | Date | undefined,
  path?: () => string,
): TokenBody {
  const key = primaryKey.write(entity);
  if (key === undefined) {
    if (isUnidentified(entity)) {
      const what = `A reference to ${name}, whose primary key is not known,`;
      throw ByReferenceError.unserializable(what, 'load it first', path?.());
    }
    const advice = primaryKey.refusal ?? `it has to be ${primaryKey.expected}`;
    throw ByReferenceError.unserializable(`The primary key of ${name}`, advice, path?.());
  }
  const schema = rowSchemaOf(entity);
  return writeTokenBody(name, key, schema === ownSchema ? undefined : schema, version);
}
