import { ByReferenceError } from './errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';

/** The wire format this release writes and the newest it reads. The format is frozen per version: jobs outlive deploys. */
const FORMAT_VERSION = 1;

/** Wraps encoded data: `{"$byref":1,"data":…}`. Always an object, because some engines give arrays a meaning. */
export const wrap = (data: JsonValue): JsonObject => ({ $byref: FORMAT_VERSION, data });

/** An envelope of a version that this release reads. */
export interface Envelope extends JsonObject {
  readonly data: JsonValue;
}

/** True for what `wrap` made, of any version; job data of before this library is none. */
export const isEnvelope = (json: unknown): json is JsonObject => isJsonObject(json) && Object.hasOwn(json, '$byref');

/** The envelope that JSON is. Throws E_MALFORMED, E_UNSUPPORTED_VERSION. Its signature is for the Signer to judge. */
export function readEnvelope(json: unknown): Envelope {
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
  return json as Envelope;
}
