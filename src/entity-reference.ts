import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError } from './errors.ts';
import { foreignSchemaOf, metadataOf, platformOf, stateOf } from './orm.ts';
import { PrimaryKey } from './primary-key.ts';
import { type TokenBody, writeTokenBody } from './token.ts';

/**
 * The token body of an entity under a wire name: `["User",1]`. Reads only what is in memory.
 * Throws E_UNPERSISTED, E_REMOVED, and E_UNSERIALIZABLE for a key its column could not hold.
 */
export function referenceBody(
  entity: AnyEntity,
  name: string,
  version?: number | Date | undefined,
  path?: () => string,
): TokenBody {
  const state = stateOf(entity);
  if (state === 'new') throw ByReferenceError.unpersisted(name, path?.());
  if (state === 'removed') throw ByReferenceError.removed(name, path?.());
  const key = PrimaryKey.of(metadataOf(entity), platformOf(entity)).write(entity);
  if (key === undefined) {
    throw ByReferenceError.unserializable(`The primary key of ${name}`, 'its columns could not hold it', path?.());
  }
  return writeTokenBody(name, key, foreignSchemaOf(entity), version);
}
