import { ByReferenceError } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../wire/json.ts';
import { Place } from './place.ts';

/** The tags that name something of the application's. */
const NAMING: readonly string[] = ['$entity', '$token', '$value', '$snapshot'];

/** What stands where any plain data may: dates, Maps and the like, but nothing with a name, however deep. */
export function refuseNamed(data: JsonValue, at: Place, admitted: readonly string[] = []): void {
  if (typeof data !== 'object' || data === null) return;
  const tag = NAMING.find((name) => isTagged(data, name));
  if (tag !== undefined && !admitted.includes(tag)) refuse(`plain data: no property declares ${tag} here`, at);
  if (Array.isArray(data)) {
    for (const [index, item] of data.entries()) refuseNamed(item as JsonValue, new Place(at, index), admitted);
  } else {
    // The references in a value object are for its class to declare.
    const inner = tag === '$value' ? [...admitted, '$entity'] : admitted;
    for (const [key, item] of Object.entries(data)) refuseNamed(item as JsonValue, new Place(at, key), inner);
  }
}

/** A scalar as it comes back, of data that the decoder has read; all else as it is. */
export function scalarIn(data: JsonValue): unknown {
  for (const [tag, read] of SCALARS) if (isTagged(data, tag)) return read(data[tag] as string);
  return data;
}

const SCALARS: ReadonlyMap<string, (body: string) => unknown> = new Map<string, (body: string) => unknown>([
  ['$string', (body) => JSON.parse(`"${body}"`)],
  ['$number', Number],
  ['$bigint', BigInt],
]);

export const isTagged = (data: JsonValue, tag: string): data is JsonObject =>
  isJsonObject(data) && Object.hasOwn(data, tag);

export const isUndefined = (data: JsonValue): boolean => isTagged(data, '$undefined');

export function refuse(expected: string, at: Place): never {
  throw ByReferenceError.malformed(`expected ${expected}`, { path: at.path });
}
