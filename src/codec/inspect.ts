import { ByReferenceError, type ErrorCode } from '../errors.ts';
import { readEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonObject, type JsonValue, pathBelow, type PathSegment } from '../wire/json.ts';
import { isTag } from '../wire/tags.ts';
import { EntityToken } from '../wire/token.ts';
import { readDate } from '../wire/values/date.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { decode, type DecodeHooks, type InstanceReader } from './decode.ts';

/** A payload's content, read without a database and without a registry. */
export interface PayloadReport {
  /** The format's version, where there is an envelope. */
  readonly version: number | undefined;
  /** Whether the envelope carries a signature; not whether it is good. */
  readonly signed: boolean;
  /** What it says the signature is for; a forged one may say anything. */
  readonly purpose: string | undefined;
  /** Until when it says the signature is good; undefined for one without an end. */
  readonly expiresAt: Date | undefined;
  /**
   * Every reference, in document order; a long path without its middle:
   * `{ path: '$.user', token: EntityToken('User', 1) }`.
   */
  readonly tokens: readonly { readonly path: string; readonly token: EntityToken }[];
  /** How often each tag occurs: `{ $entity: 2, $date: 1 }`. */
  readonly tags: { readonly [tag: string]: number };
  /** What would keep the payload from being read: `{ path: '$.due', code: 'E_MALFORMED', message: '…' }`. */
  readonly problems: readonly { readonly path: string; readonly code: ErrorCode; readonly message: string }[];
}

/** Levels that are looked into; deeper ones are reported as a problem. */
const MAX_DEPTH = 1_000;

/** Names are for a registry to judge. */
const ANY: InstanceReader = { make: (data) => data };

const ANY_CLASS: DecodeHooks = { value: () => ANY, snapshot: () => ANY };

const LIMITS = {
  depth: MAX_DEPTH,
  nodes: Number.MAX_SAFE_INTEGER,
  tokens: Number.MAX_SAFE_INTEGER,
  length: Number.MAX_SAFE_INTEGER,
  digits: DEFAULT_LIMITS.digits,
  numberKeys: DEFAULT_LIMITS.numberKeys,
};

/** Reports on a payload, whatever it is: a bad one is reported, not thrown. */
export function inspect(payload: unknown): PayloadReport {
  const inspector = new Inspector();
  let json = payload;
  if (typeof payload === 'string') {
    try {
      json = JSON.parse(payload);
    } catch (cause) {
      inspector.report(ByReferenceError.malformed('not JSON', { path: '$', cause }));
      json = undefined;
    }
  }
  const envelope = isJsonObject(json) && Object.hasOwn(json, '$byref') ? json : undefined;
  if (json !== undefined && envelope === undefined) {
    inspector.report(ByReferenceError.malformed('no envelope {"$byref":1,"data":…}', { path: '$' }));
  }
  inspector.walk((envelope === undefined ? json : envelope['data']) as JsonValue);
  if (envelope !== undefined) inspector.tryReading(envelope);
  const version = envelope?.['$byref'];
  return {
    version: typeof version === 'number' ? version : undefined,
    signed: envelope !== undefined && Object.hasOwn(envelope, 'signature'),
    purpose: typeof envelope?.['purpose'] === 'string' ? envelope['purpose'] : undefined,
    expiresAt: readDate(envelope?.['expiresAt']),
    tokens: inspector.tokens,
    tags: Object.fromEntries(inspector.tags),
    problems: inspector.problems,
  };
}

class Inspector {
  readonly tokens: { path: string; token: EntityToken }[] = [];
  readonly tags = new Map<string, number>();
  readonly problems: { path: string; code: ErrorCode; message: string }[] = [];
  /** Of the value at hand, and of those around it. */
  readonly #paths: string[] = ['$'];

  get #path(): string {
    return this.#paths.at(-1)!;
  }

  report(error: unknown): void {
    if (!(error instanceof ByReferenceError)) throw error;
    this.problems.push({ path: error.path ?? this.#path, code: error.code, message: error.message });
  }

  /** What the walk has not met: a newer format, an unknown tag, a tag that holds what it can't. */
  tryReading(envelope: JsonObject): void {
    if (this.problems.length > 0) return;
    try {
      decode(readEnvelope(envelope).data, ANY_CLASS, LIMITS);
    } catch (error) {
      this.report(error);
    }
  }

  walk(json: JsonValue): void {
    if (typeof json !== 'object' || json === null) return;
    if (this.#paths.length > MAX_DEPTH + 1) {
      this.report(ByReferenceError.limit('levels', MAX_DEPTH, 'depth', this.#path));
      return;
    }
    if (Array.isArray(json)) {
      for (const [index, child] of json.entries()) this.#walkBelow(index, child as JsonValue);
      return;
    }
    for (const key of Object.keys(json)) {
      const child = (json as JsonObject)[key]!;
      if (isTag(key)) this.#readTag(key, child);
      // The tags inside a token are parts of its key.
      if (key !== '$entity' && key !== '$token') this.#walkBelow(key, child);
    }
  }

  #walkBelow(segment: PathSegment, child: JsonValue): void {
    if (typeof child !== 'object' || child === null) return;
    this.#paths.push(pathBelow(this.#path, segment));
    this.walk(child);
    this.#paths.pop();
  }

  #readTag(tag: string, body: JsonValue): void {
    this.tags.set(tag, (this.tags.get(tag) ?? 0) + 1);
    if (tag !== '$entity') return;
    const path = this.#path;
    try {
      this.tokens.push({ path, token: EntityToken.fromBody(body, () => path) });
    } catch (error) {
      this.report(error);
    }
  }
}
