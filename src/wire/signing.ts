import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { types } from 'node:util';
import { ByReferenceError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';
import type { JsonObject } from './json.ts';
import { EntityToken } from './token.ts';
import { readDate } from './values/date.ts';

/** How long a signature is good for; there is no default, so that nobody signs for good by forgetting. */
export type Expiry =
  | {
      /** Milliseconds from now. */
      readonly expiresInMs: number;
      readonly expiresAt?: never;
    }
  | {
      /** An instant, or null for a signature that never expires. */
      readonly expiresAt: Date | null;
      readonly expiresInMs?: never;
    };

/** What a signature is for, and until when. One made for another purpose is no signature at all. */
export type SignOptions = {
  /** What it is for: 1 to 256 characters, `'unsubscribe'`. */
  readonly purpose: string;
} & Expiry;

/** A secret of at least 32 bytes; text counts in UTF-8. */
export type SigningKey = string | Uint8Array;

/** What is signed: a token in text, or a whole payload. One can't be passed off as the other. */
type Kind = 'token' | 'payload';

const VERSION = 'v1';

const SIGN_OPTIONS = ['purpose', 'expiresInMs', 'expiresAt'];

const SIGNED_TOKEN = /^v1\.([0-9a-z]*)\.([\w-]+)\.([\w-]{43})$/;

const SHORTEST_SECRET = 32;

/** UTF-16 code units; HKDF takes 1,024 bytes of context. */
const LONGEST_PURPOSE = 256;

/** Derived keys kept of each kind; strangers can name purposes that nobody uses. */
const KEPT_KEYS = 1_000;

/**
 * HMAC-SHA-256 with a key per purpose, derived from each secret by HKDF (RFC 5869). The first secret signs, all verify:
 * put a new one in front to rotate.
 */
export class Signer {
  readonly #secrets: readonly SigningKey[];
  readonly #clock: () => number;
  /** By purpose. */
  readonly #derived: Record<Kind, Map<string, readonly KeyObject[]>> = { token: new Map(), payload: new Map() };

  /** Throws E_INVALID_OPTION for what is no list of secrets. */
  constructor(secrets: readonly SigningKey[] = [], clock: () => number = Date.now) {
    if (!Array.isArray(secrets) || !secrets.every(isSecret)) {
      const expected = `an array of secrets, text or bytes, each of at least ${SHORTEST_SECRET} bytes`;
      // Whatever came may be a secret all the same, and errors are logged.
      throw ByReferenceError.invalidOption('option signingKeys', expected, 'what is not shown here');
    }
    this.#secrets = secrets;
    this.#clock = clock;
  }

  /** `v1.<expiry in ms, base 36>.<token>.<MAC>`, all URL-safe; no expiry is empty. Throws E_INVALID_OPTION. */
  signToken(token: EntityToken, options: SignOptions): string {
    const expiresAt = this.#expiry(options);
    const signed = `${VERSION}.${expiresAt?.getTime().toString(36) ?? ''}.${token.toString()}`;
    return `${signed}.${this.#sign('token', options.purpose, signed)}`;
  }

  /** The token that `signToken` signed for this purpose. Throws E_BAD_SIGNATURE, E_EXPIRED, E_INVALID_OPTION. */
  verifyToken(text: string, purpose: string): EntityToken {
    this.#requirePurpose(purpose);
    this.requireKeys();
    const [, expiry, body, mac] = (typeof text === 'string' && SIGNED_TOKEN.exec(text)) || [];
    if (mac === undefined) throw ByReferenceError.badSignature('the text is no signed token');
    this.#verify('token', purpose, text.slice(0, -mac.length - 1), mac);
    if (expiry !== '') this.#refuseExpired(new Date(Number.parseInt(expiry!, 36)));
    return EntityToken.parse(body!);
  }

  /** The envelope with its `purpose`, `expiresAt` and a `signature` over all of it. Throws E_INVALID_OPTION. */
  signEnvelope(envelope: JsonObject, options: SignOptions): JsonObject {
    const expiresAt = this.#expiry(options);
    const { purpose } = options;
    const signed = { ...envelope, purpose, ...(expiresAt === null ? {} : { expiresAt: expiresAt.toISOString() }) };
    return { ...signed, signature: this.#sign('payload', purpose, canonicalJson(signed)) };
  }

  /**
   * Verifies a signature that is there, and demands one where a purpose is given. Expects an envelope of at most
   * `maxDepth` levels. Throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT, E_INVALID_OPTION.
   */
  verifyEnvelope(envelope: JsonObject, purpose: string | undefined, maxDepth: number): void {
    if (!Object.hasOwn(envelope, 'signature')) {
      if (purpose === undefined) return;
      throw ByReferenceError.badSignature('the payload is not signed');
    }
    const { signature, ...signed } = envelope;
    const claimed = signed['purpose'];
    if (typeof signature !== 'string' || !isPurpose(claimed)) {
      throw ByReferenceError.badSignature('it is none that this library makes');
    }
    if (this.#secrets.length === 0) throw ByReferenceError.badSignature('there are no signingKeys to verify it with');
    this.#verify('payload', purpose ?? claimed, canonicalJson(signed, maxDepth), signature);
    if (!Object.hasOwn(signed, 'expiresAt')) return;
    const expiresAt = readDate(signed['expiresAt']);
    if (expiresAt === undefined) throw ByReferenceError.malformed('expiresAt is an ISO 8601 date', { path: '$' });
    this.#refuseExpired(expiresAt);
  }

  /** Throws E_INVALID_OPTION where nothing can be signed or verified. */
  requireKeys(): void {
    if (this.#secrets.length === 0) {
      throw ByReferenceError.invalidOption('option signingKeys', 'at least one secret of the serializer', undefined);
    }
  }

  #sign(kind: Kind, purpose: string, text: string): string {
    this.requireKeys();
    return macOf(this.#keys(kind, purpose)[0]!, text);
  }

  #verify(kind: Kind, purpose: string, text: string, mac: string): void {
    const given = Buffer.from(mac);
    const isGood = this.#keys(kind, purpose).some((key) => {
      const expected = Buffer.from(macOf(key, text));
      // In constant time, or the right MAC could be found byte by byte.
      return expected.length === given.length && timingSafeEqual(expected, given);
    });
    if (!isGood) throw ByReferenceError.badSignature('it is forged, or made with another key or for another purpose');
  }

  #keys(kind: Kind, purpose: string): readonly KeyObject[] {
    const derived = this.#derived[kind];
    let keys = derived.get(purpose);
    if (keys === undefined) {
      const context = `mikro-orm-byref:${kind}:${purpose}`;
      // A key object is made once; bytes would be made one for each MAC, which takes four times as long.
      keys = this.#secrets.map((secret) =>
        createSecretKey(new Uint8Array(hkdfSync('sha256', secret, '', context, 32))),
      );
      if (derived.size >= KEPT_KEYS) derived.clear();
      derived.set(purpose, keys);
    }
    return keys;
  }

  #expiry(options: SignOptions): Date | null {
    this.#requirePurpose(options?.purpose);
    const { expiresInMs, expiresAt } = options;
    const unknown = Object.keys(options).find((name) => !SIGN_OPTIONS.includes(name));
    if (unknown !== undefined) {
      throw ByReferenceError.invalidOption(`option sign.${unknown}`, `one of ${SIGN_OPTIONS.join(', ')}`, undefined);
    }
    if (expiresInMs === undefined && expiresAt === null) return null;
    const at = expiresInMs === undefined ? expiresAt : new Date(this.#clock() + expiresInMs);
    const isOne = (expiresInMs === undefined) !== (expiresAt === undefined);
    const isPositive = expiresInMs === undefined || (Number.isSafeInteger(expiresInMs) && expiresInMs > 0);
    if (isOne && isPositive && types.isDate(at) && at.getTime() >= 0) return at;
    throw ByReferenceError.invalidOption(
      'expiry of a signature',
      'either expiresInMs, a positive integer, or expiresAt, a Date or null for never',
      options,
    );
  }

  #refuseExpired(expiresAt: Date): void {
    // A clock that says nothing must not make a signature last.
    if (!(this.#clock() < expiresAt.getTime())) throw ByReferenceError.expired(expiresAt);
  }

  #requirePurpose(purpose: unknown): void {
    if (!isPurpose(purpose)) {
      throw ByReferenceError.invalidOption('option purpose', `a text of 1 to ${LONGEST_PURPOSE} characters`, purpose);
    }
  }
}

/** What a signed token's text says, good signature or not; undefined for any other text. Throws E_MALFORMED. */
export function readSignedToken(text: string): { token: EntityToken; expiresAt: Date | undefined } | undefined {
  const [, expiry, body] = SIGNED_TOKEN.exec(text) ?? [];
  return body === undefined ? undefined : { token: EntityToken.parse(body), expiresAt: expiryOf(expiry!) };
}

/** Base 36 of any length is a number, but no number is an instant. */
function expiryOf(text: string): Date | undefined {
  const at = new Date(Number.parseInt(text, 36));
  return Number.isNaN(at.getTime()) ? undefined : at;
}

const isSecret = (value: unknown): boolean =>
  (typeof value === 'string' || types.isUint8Array(value)) && Buffer.byteLength(value) >= SHORTEST_SECRET;

export const isPurpose = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= LONGEST_PURPOSE && value.isWellFormed();

const macOf = (key: KeyObject, text: string): string => createHmac('sha256', key).update(text).digest('base64url');
