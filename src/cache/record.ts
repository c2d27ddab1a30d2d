import { isObject } from '../check.ts';
import { ByReferenceError, type ErrorCode } from '../errors.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import type { Stamps } from './witness.ts';

/** What the cache stores of a value: plain JSON. Small, because each hit parses it. */
export interface CacheRecord {
  /** The data of a payload without any tag in it: the value itself. */
  readonly plain?: JsonValue;
  /** Any other payload, its entities as tokens. */
  readonly payload?: JsonObject;
  /** Milliseconds since the epoch, afterwards the value is stale; null for never. */
  readonly expiresAt: number | null;
  /** What the value hangs on. */
  readonly stamps: Stamps;
}

/** What a release of this library has stored under a key; undefined where there is nothing, or another's. */
export function readRecord(stored: unknown): CacheRecord | undefined {
  if (!isObject(stored)) return undefined;
  const { plain, payload, expiresAt, stamps } = stored as Partial<CacheRecord>;
  if (expiresAt !== null && typeof expiresAt !== 'number') return undefined;
  if (plain === undefined && !isObject(payload)) return undefined;
  return isObject(stamps) ? (stored as unknown as CacheRecord) : undefined;
}

/** Whether an entry is within its time, or so many milliseconds past it. */
export const isWithin = ({ expiresAt }: CacheRecord, graceMs = 0): boolean =>
  expiresAt === null || Date.now() < expiresAt + graceMs;

/** A record as it is stored where it is signed: with its key, or another's could be put in its place. */
export const labelled = (key: string, record: CacheRecord): JsonObject => ({ key, record: record as never });

/** The record that was stored under this very key. */
export const recordOf = ({ key: label, record }: JsonObject, key: string): CacheRecord | undefined =>
  label === key ? readRecord(record) : undefined;

/** Writes a payload of the serializer. */
export const writeRecord = (
  payload: { readonly data: JsonValue },
  { expiresAt, stamps }: Pick<CacheRecord, 'expiresAt' | 'stamps'>,
): CacheRecord => ({ ...(isPlain(payload.data) ? { plain: payload.data } : { payload }), expiresAt, stamps });

/** Every tag is an object key that starts with `$`; a string that does is taken for one, which costs a decoding. */
const isPlain = (data: JsonValue): boolean => !JSON.stringify(data).includes('"$');

const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  'E_ENTITY_NOT_FOUND',
  'E_NOT_YET_VISIBLE',
  'E_DRIFT',
  'E_UNSUPPORTED_VERSION',
  'E_UNKNOWN_MODEL',
  'E_UNKNOWN_VALUE',
  'E_SCHEMA_NOT_ALLOWED',
  'E_WRONG_TENANT',
  'E_NO_TENANT',
  'E_MISSING_TENANT',
  'E_MALFORMED',
  'E_LIMIT',
  'E_BAD_SIGNATURE',
  'E_EXPIRED',
]);

/** What another release, other options or a row that is gone or another by now make of a payload; making the value again helps. */
export const isUnreadable = (error: unknown): boolean =>
  error instanceof ByReferenceError && UNREADABLE.has(error.code);
