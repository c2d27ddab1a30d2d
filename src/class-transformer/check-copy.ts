import type { EntityMetadata, EntityProperty } from '@mikro-orm/core';
import { copiedProperties, isToMany } from '../models/snapshot.ts';
import { embeddableOf } from '../orm/metadata.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import { isUntagged, unescapeKey } from '../wire/tags.ts';
import { isTagged, isUndefined, refuse, refuseNamed } from './closed.ts';
import { Place } from './place.ts';

/** Told of each reference that a relation of the copy declares. */
type Declare = (body: JsonValue, relation: EntityProperty, place: Place) => void;

/**
 * Checks the data of a copy against its entity: references where it has relations, value objects and plain data in its
 * other properties. Throws E_MALFORMED with the path.
 */
export function checkCopy(metadata: EntityMetadata, data: JsonObject, at: Place, declare: Declare): void {
  const properties = new Map(copiedProperties(metadata).map((property) => [property.name as string, property]));
  for (const [key, value] of Object.entries(data)) {
    const property = properties.get(unescapeKey(key));
    const place = new Place(at, key);
    if (value === null || isUndefined(value)) continue;
    if (property === undefined) refuseNamed(value, place);
    else if (isToMany(property)) list(value, place, (item, itemAt) => reference(property, item, itemAt, declare));
    else if (property.kind === 'embedded') embedded(property, value, place, declare);
    else if (property.targetMeta !== undefined && property.mapToPk !== true) reference(property, value, place, declare);
    else refuseNamed(value, place, ['$value']);
  }
}

/** A row that is gone leaves null in a list. */
function list(data: JsonValue, at: Place, check: (item: JsonValue, at: Place) => void): void {
  if (!Array.isArray(data)) return refuse('a list', at);
  for (const [index, item] of data.entries()) if (item !== null) check(item as JsonValue, new Place(at, index));
}

function reference(relation: EntityProperty, data: JsonValue, at: Place, declare: Declare): void {
  if (!isTagged(data, '$entity')) return refuse('a reference', at);
  declare(data['$entity']!, relation, at);
}

function embedded(property: EntityProperty, data: JsonValue, at: Place, declare: Declare): void {
  if (property.array === true) return list(data, at, (item, itemAt) => one(property, item, itemAt, declare));
  one(property, data, at, declare);
}

function one(property: EntityProperty, data: JsonValue, at: Place, declare: Declare): void {
  const metadata = isUntagged(data) ? embeddableOf(property, data) : undefined;
  if (metadata === undefined) return refuse('one of its embeddables', at);
  checkCopy(metadata, data as JsonObject, at, declare);
}
