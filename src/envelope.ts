import { ByReferenceError } from './errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';

/** The wire format this release writes and the newest it reads. The format is frozen per version: jobs outlive deploys. */
const FORMAT_VERSION = 1;

/** Wraps encoded data: `{"$byref":1,"data":…}`. Always an object, because some engines give arrays a meaning. */
export const wrap = (data: JsonValue): JsonObject => ({ $byref: FORMAT_VERSION, data });

/** True for what `wrap` made, of any version; job data of before this library is none. */
export const isEnvelope = (json: unknown): json is JsonObject => isJsonObject(json) && Object.hasOwn(json, '$byref');

/** The data of an envelope. Throws E_MALFORMED, E_UNSUPPORTED_VERSION, E_BAD_SIGNATURE. */
export function unwrap(json: unknown): JsonValue {
  if (!isEnvelope(json)) {
    throw ByReferenceError.malformed(
      'expected an envelope {"$byref":1,"data":…}, as serialize() and encode() make it',
      { path: '$' },
    );
  }
  const version = json['$byref'];
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    throw ByReferenceError.malformed('the format version $byref is a positive integer', { path: '$' });
  }
  if ((version as number) > FORMAT_VERSION)
    throw ByReferenceError.unsupportedVersion(version as number, FORMAT_VERSION);
  if (!Object.hasOwn(json, 'data')) throw ByReferenceError.malformed('the envelope has no data', { path: '$' });
  // A signature that nobody checks is worse than none: its reader would trust it.
  if (Object.hasOwn(json, 'signature'))
    throw ByReferenceError.badSignature('this release has no keys to verify it with');
  return json['data']!;
}
