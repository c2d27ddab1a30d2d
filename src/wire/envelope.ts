import { ByReferenceError } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';

/** The wire format this release writes and the newest it reads. The format is frozen per version: jobs outlive deploys. */
const FORMAT_VERSION = 1;

/** The members that have a meaning of their own. */
const RESERVED = ['$byref', 'data', 'purpose', 'expiresAt', 'signature'];

/**
 * Wraps encoded data: `{"$byref":1,"data":…}`, with a transport's own members beside it. Always an object, because some
 * engines give arrays a meaning. Throws E_INVALID_OPTION for a member that has a meaning already.
 */
export function wrap(data: JsonValue, metadata: JsonObject = {}): JsonObject {
  for (const name of RESERVED) {
    if (Object.hasOwn(metadata, name)) {
      throw ByReferenceError.invalidOption('option metadata', `other members than ${RESERVED.join(', ')}`, name);
    }
  }
  return { $byref: FORMAT_VERSION, data, ...metadata };
}

/** An envelope of a version that this release reads. */
export interface Envelope extends JsonObject {
  readonly data: JsonValue;
}

/** True for what `wrap` made, of any version; job data of before this library is none. */
export const isEnvelope = (json: unknown): json is JsonObject => isJsonObject(json) && Object.hasOwn(json, '$byref');

/** The envelope that JSON is. Throws E_MALFORMED, E_UNSUPPORTED_VERSION. Its signature is for the Signer to judge. */
export function readEnvelope(json: unknown): Envelope {
  if (isEnvelope(json)) return checkEnvelope(json);
  const other =
    typeof json === 'string' ? 'text is for deserialize()' : 'what plain JSON.stringify wrote is for revive()';
  const expected = 'expected an envelope {"$byref":1,"data":…}, as serialize() and encode() make it';
  throw ByReferenceError.malformed(`${expected}; ${other}`, { path: '$' });
}

/** The same of what `isEnvelope` has taken for one. */
export function checkEnvelope(json: JsonObject): Envelope {
  const version = json['$byref'];
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    throw ByReferenceError.malformed('the format version $byref is a positive integer', { path: '$' });
  }
  if ((version as number) > FORMAT_VERSION)
    throw ByReferenceError.unsupportedVersion(version as number, FORMAT_VERSION);
  if (!Object.hasOwn(json, 'data')) throw ByReferenceError.malformed('the envelope has no data', { path: '$' });
  return json as Envelope;
}
