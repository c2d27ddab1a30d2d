import { ByReferenceError } from '../errors.ts';
import { readEnvelope } from '../wire/envelope.ts';
import type { JsonValue } from '../wire/json.ts';
import type { Signer } from '../wire/signing.ts';
import type { Limits } from './limits.ts';

/** The JSON of a payload in text. Throws E_MALFORMED, E_LIMIT. */
export function parse(text: unknown, { length }: Required<Limits>): unknown {
  if (typeof text !== 'string') {
    throw ByReferenceError.malformed('expected text; a JSON value is read with decode()', { path: '$' });
  }
  if (text.length > length) throw ByReferenceError.limit('characters', length, 'length', '$');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw ByReferenceError.malformed('not JSON', { path: '$', cause });
  }
}

/**
 * What an envelope holds. Its signature comes before everything that it says: one that is there has to be good, and one
 * for a purpose has to be there where that is given. Throws E_MALFORMED, E_UNSUPPORTED_VERSION, E_BAD_SIGNATURE,
 * E_EXPIRED, E_LIMIT.
 */
export function open(
  payload: unknown,
  signer: Signer,
  { limits, purpose }: { readonly limits: Required<Limits>; readonly purpose: string | undefined },
): JsonValue {
  const envelope = readEnvelope(payload);
  // A level of the value is up to three of JSON, as in {"$map":[[k,v]]}; here it is only the stack that is spared.
  signer.verifyEnvelope(envelope, purpose, Math.min(limits.depth * 4 + 8, 4_000));
  return envelope.data;
}
