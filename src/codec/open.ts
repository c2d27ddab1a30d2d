import { ByReferenceError, isThenable } from '../errors.ts';
import { checkEnvelope, isEnvelope, readEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../wire/json.ts';
import type { Signer } from '../wire/signing.ts';
import type { Limits } from './limits.ts';

/** The JSON of a payload in text. Throws E_MALFORMED, E_LIMIT. */
export function parse(text: unknown, { length }: Required<Limits>): unknown {
  if (typeof text !== 'string') {
    refuseUnawaited(text);
    throw ByReferenceError.malformed('expected text; a JSON value is read with decode()', { path: '$' });
  }
  if (text.length > length) throw ByReferenceError.limit('characters', length, 'length', '$');
  try {
    return JSON.parse(text);
  } catch (cause) {
    const what = 'not JSON, which serialize() writes; the text of a token is for locate(), that of sign() for verify()';
    throw ByReferenceError.malformed(what, { path: '$', cause });
  }
}

/** Throws E_MALFORMED for what is still to come. */
export function refuseUnawaited(payload: unknown): void {
  if (isThenable(payload)) throw ByReferenceError.malformed('this is a promise; await it first', { path: '$' });
}

/** What a signature is looked at by. */
interface Demand {
  readonly limits: Required<Limits>;
  /** What it has to be for; undefined where none is demanded. */
  readonly purpose: string | undefined;
}

/**
 * What an envelope holds. Its signature comes before everything that it says: one that is there has to be good, and one
 * for a purpose has to be there where that is given. Throws E_MALFORMED, E_UNSUPPORTED_VERSION, E_BAD_SIGNATURE,
 * E_EXPIRED, E_LIMIT.
 */
export function open(payload: unknown, signer: Signer, demand: Demand): JsonValue {
  if (isEnvelope(payload)) {
    verify(payload, signer, demand);
    return checkEnvelope(payload).data;
  }
  refuseUnawaited(payload);
  if (demand.purpose !== undefined) verify(requireSigned(payload), signer, demand);
  return readEnvelope(payload).data;
}

/**
 * What was sealed, without its signature: what is left says nothing that was not signed for the purpose.
 * Throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT.
 */
export function unseal(sealed: unknown, signer: Signer, demand: Demand & { readonly purpose: string }): JsonObject {
  const envelope = requireSigned(sealed);
  verify(envelope, signer, demand);
  const { signature: _, ...signed } = envelope;
  return signed;
}

function requireSigned(payload: unknown): JsonObject {
  if (!isJsonObject(payload)) throw ByReferenceError.badSignature('the payload is not signed');
  return payload;
}

/** Nothing else of a payload is believed before this, its version included. */
function verify(payload: JsonObject, signer: Signer, { limits, purpose }: Demand): void {
  // A level of the value is up to three of JSON, as in {"$map":[[k,v]]}; here it is only the stack that is spared.
  signer.verifyEnvelope(payload, purpose, Math.min(limits.depth * 4 + 8, 4_000));
}
