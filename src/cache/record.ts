import { ByReferenceError, type ErrorCode } from '../errors.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import type { Tag } from './tags.ts';

/** What the cache stores of a value: plain JSON. Small, because each hit parses it. */
export interface CacheRecord {
  /** The data of a payload without any tag in it: the value itself. */
  readonly plain?: JsonValue;
  /** Any other payload, its entities as tokens. */
  readonly payload?: JsonObject;
  /** When the factory began, by the logical clock: what was invalidated after that may be missing in the value. */
  readonly startedAt: number;
  /** Milliseconds since the epoch; afterwards the value is stale. */
  readonly expiresAt: number;
  /** Default: none. */
  readonly tags?: readonly Tag[];
}

/** What a release of this library has stored under a key; undefined where there is nothing, or another's. */
export function readRecord(stored: unknown): CacheRecord | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const { plain, payload, startedAt, expiresAt, tags } = stored as Partial<CacheRecord>;
  if (typeof startedAt !== 'number' || typeof expiresAt !== 'number') return undefined;
  if (plain === undefined && (typeof payload !== 'object' || payload === null)) return undefined;
  return tags === undefined || Array.isArray(tags) ? (stored as CacheRecord) : undefined;
}

/** A record as it is stored where it is signed: with its key, or another's could be put in its place. */
export const labelled = (key: string, record: CacheRecord): JsonObject => ({ key, record: record as never });

/** The record that was stored under this very key. */
export const recordOf = ({ key: label, record }: JsonObject, key: string): CacheRecord | undefined =>
  label === key ? readRecord(record) : undefined;

/** Writes a payload of the serializer. */
export function writeRecord(
  payload: { readonly data: JsonValue },
  tags: ReadonlySet<Tag>,
  instants: Pick<CacheRecord, 'startedAt' | 'expiresAt'>,
): CacheRecord {
  return {
    ...(isPlain(payload.data) ? { plain: payload.data } : { payload }),
    ...instants,
    ...(tags.size > 0 && { tags: [...tags] }),
  };
}

/** Every tag is an object key that starts with `$`; a string that does is taken for one, which costs a decoding. */
const isPlain = (data: JsonValue): boolean => !JSON.stringify(data).includes('"$');

const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  'E_ENTITY_NOT_FOUND',
  'E_NOT_YET_VISIBLE',
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

/** What another release, other options or a row that is gone make of a payload; making the value again helps. */
export const isUnreadable = (error: unknown): boolean =>
  error instanceof ByReferenceError && UNREADABLE.has(error.code);
