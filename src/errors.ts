// The one circle of the source, of types: an error names tokens, and text that is no token is refused with an error.
// oxlint-disable-next-line import/no-cycle
import type { EntityToken } from './wire/token.ts';
import { harmless } from './text.ts';

/** What went wrong, stable across releases. */
export type ErrorCode =
  | 'E_UNPERSISTED'
  | 'E_REMOVED'
  | 'E_UNSERIALIZABLE'
  | 'E_DUPLICATE_MODEL'
  | 'E_UNKNOWN_MODEL'
  | 'E_UNKNOWN_VALUE'
  | 'E_UNKNOWN_TASK'
  | 'E_MODEL_NOT_ALLOWED'
  | 'E_SCHEMA_NOT_ALLOWED'
  | 'E_WRONG_TENANT'
  | 'E_NO_TENANT'
  | 'E_MISSING_TENANT'
  | 'E_MALFORMED'
  | 'E_LIMIT'
  | 'E_UNSUPPORTED_VERSION'
  | 'E_BAD_SIGNATURE'
  | 'E_EXPIRED'
  | 'E_ENTITY_NOT_FOUND'
  | 'E_NOT_YET_VISIBLE'
  | 'E_LOCKED'
  | 'E_LOCK_LOST'
  | 'E_DRIFT'
  | 'E_UNFLUSHED'
  | 'E_TRANSACTION_MISMATCH'
  | 'E_ROLLED_BACK'
  | 'E_COMMIT_UNKNOWN'
  | 'E_TIMEOUT'
  | 'E_UNSUPPORTED'
  | 'E_INVALID_OPTION';

/** The facts an error carries beside its message; which ones are set depends on the code. */
export interface ErrorFacts {
  /** Where in the value or payload: an RFC 9535 path, `$.lines[3]`; a long one without its middle. */
  readonly path?: string | undefined;
  /** The model's name on the wire, as it is printed: escaped and shortened where a stranger made it up. */
  readonly model?: string | undefined;
  /** The references it is about, without duplicates. */
  readonly tokens?: readonly EntityToken[] | undefined;
  /** What it comes of, as an error of the database or of `JSON.parse`. */
  readonly cause?: unknown;
}

interface ErrorInit extends ErrorFacts {
  readonly retryable?: boolean;
}

/**
 * Every error of this library. `retryable` says whether the same call can succeed later without anybody changing
 * code or payload. Errors of the database and of MikroORM pass through untouched and are never of this class.
 */
export class ByReferenceError extends Error {
  /** Always `ByReferenceError`. */
  override readonly name = 'ByReferenceError';
  /** What went wrong: `E_ENTITY_NOT_FOUND`; stable across releases. */
  readonly code: ErrorCode;
  /** What to do about the code, in this package: `mikro-orm-byref/docs/operations/troubleshooting.md#e_entity_not_found`. */
  readonly help: string;
  /** Whether the same call can succeed later, without anybody changing code or payload. */
  readonly retryable: boolean;
  /** Where in the value or payload: `$.lines[3]`; undefined where it is about no single place. */
  readonly path: string | undefined;
  /** The model's name on the wire: `User`; undefined where it is about none. */
  readonly model: string | undefined;
  /** The references it is about, without duplicates; empty where it is about none. */
  readonly tokens: readonly EntityToken[];

  private constructor(code: ErrorCode, message: string, init: ErrorInit = {}) {
    super(harmless(message), 'cause' in init ? { cause: init.cause } : undefined);
    this.code = code;
    this.help = `mikro-orm-byref/docs/operations/troubleshooting.md#${code.toLowerCase()}`;
    this.retryable = init.retryable ?? false;
    this.path = init.path === undefined ? undefined : harmless(init.path, 1_000);
    this.model = init.model === undefined ? undefined : harmless(init.model, 200);
    this.tokens = init.tokens ?? [];
  }

  /** @internal */
  static unpersisted(model: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_UNPERSISTED',
      `${model}${at(path)} has no row yet, so nothing could bring it back; flush it before it is serialized.`,
      { model, path },
    );
  }

  /** @internal */
  static removed(model: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_REMOVED',
      `${model}${at(path)} is removed or scheduled for removal, so it could not come back; pass the data the receiver needs instead.`,
      { model, path },
    );
  }

  /** @internal */
  static unserializable(what: string, advice: string, path?: string, cause?: unknown): ByReferenceError {
    return new ByReferenceError('E_UNSERIALIZABLE', `${what}${at(path)} could not come back; ${advice}.`, {
      path,
      ...(cause === undefined ? {} : { cause }),
    });
  }

  /** @internal */
  static noEntity(what: string, value: unknown): ByReferenceError {
    return isThenable(value)
      ? ByReferenceError.unserializable('A promise', 'await it first')
      : ByReferenceError.unserializable(what, 'pass an entity or a Ref to one');
  }

  /** @internal */
  static duplicateModel(name: string, first: string, second: string): ByReferenceError {
    return new ByReferenceError(
      'E_DUPLICATE_MODEL',
      `The model name "${name}" belongs to both ${first} and ${second}; give one of them another name with @ByReference({ name }).`,
      { model: name },
    );
  }

  /** @internal */
  static sharedModel(name: string, first: string, second: string): ByReferenceError {
    return new ByReferenceError(
      'E_DUPLICATE_MODEL',
      `The class of the model "${name}" belongs to two ORMs, "${first}" and "${second}", so a token could mean a row of either; give each ORM a class of its own, or leave this one out with models: 'declared'.`,
      { model: name },
    );
  }

  /** @internal */
  static unnamedModels(names: readonly string[]): ByReferenceError {
    return new ByReferenceError(
      'E_INVALID_OPTION',
      `The option requireNames wants a declared name for each model, and there is none for ${names.join(', ')}; give each @ByReference({ name }), with the name that payloads have today.`,
    );
  }

  /** @internal */
  static unversioned(model: string, advice: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_UNSERIALIZABLE',
      `${model}${at(path)} has no version for its token, and the option versions is 'required'; ${advice}.`,
      { model, path },
    );
  }

  /** @internal */
  static noEntityManager(of: string, advice: string, cause: unknown): ByReferenceError {
    return new ByReferenceError(
      'E_INVALID_OPTION',
      `There is no EntityManager ${of}: no request or transaction that has one is around the call, and MikroORM keeps its global EntityManager out of use; ${advice}.`,
      { cause },
    );
  }

  /** @internal */
  static unknownModel(name: string, retryable: boolean, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_UNKNOWN_MODEL',
      `The model "${name}"${at(path)} is not in the registry; add its entity to the ORM, or if it was renamed, list the old name in @ByReference({ aliases }).`,
      { model: name, retryable, path },
    );
  }

  /** @internal */
  static undeclaredModel(name: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_UNKNOWN_MODEL',
      `The model "${name}"${at(path)} is not declared, and this serializer takes declared models only; mark its class with @ByReference().`,
      { model: name, path },
    );
  }

  /** @internal */
  static unknownValue(name: string, retryable: boolean, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_UNKNOWN_VALUE',
      `The value object "${name}"${at(path)} is not registered; register its class before the payload is read, with the option values or serializer.values.register("${name}", …).`,
      { retryable, path },
    );
  }

  /** @internal During a rolling deploy another process may know it. */
  static unknownTask(queue: string, name: string | undefined): ByReferenceError {
    return new ByReferenceError(
      'E_UNKNOWN_TASK',
      `The queue "${queue}" has no task ${JSON.stringify(name ?? null)} in this process; define it, or retry once the deploy has reached this process.`,
      { retryable: true },
    );
  }

  /** @internal */
  static modelNotAllowed(name: string, allowed: readonly string[], path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_MODEL_NOT_ALLOWED',
      `The model "${name}"${at(path)} is not allowed here; expected ${allowed.join(' or ') || 'none'}.`,
      { model: name, path },
    );
  }

  /** @internal */
  static schemaNotAllowed(schema: string, model: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_SCHEMA_NOT_ALLOWED',
      `The schema "${schema}" of ${model}${at(path)} is neither the EntityManager's nor the model's own; admit it with the option schemas.`,
      { model, path },
    );
  }

  /** @internal */
  static wrongTenant(schema: string, tenant: string, model: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_WRONG_TENANT',
      `${model}${at(path)} is a row of the tenant "${schema}", and the tenant here is "${tenant}"; read it for its own.`,
      { model, path },
    );
  }

  /** @internal */
  static noTenant(schema: string, model: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_NO_TENANT',
      `${model}${at(path)} is a row of the tenant "${schema}", and there is no tenant here; have the option tenant return one.`,
      { model, path },
    );
  }

  /** @internal */
  static missingTenant(model: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_MISSING_TENANT',
      `${model}${at(path)} has its rows in a schema per tenant, and the token names none; give the tenant's with the option schema.`,
      { model, path },
    );
  }

  /** @internal */
  static malformed(what: string, facts: ErrorFacts = {}): ByReferenceError {
    return new ByReferenceError('E_MALFORMED', `Malformed payload${at(facts.path)}: ${what}.`, facts);
  }

  /** @internal */
  static limit(what: string, limit: number, option: string, path?: string): ByReferenceError {
    return new ByReferenceError(
      'E_LIMIT',
      `The payload${at(path)} has more than ${limit} ${what}; split it, or raise the option limits.${option}.`,
      { path },
    );
  }

  /** @internal */
  static unsupportedVersion(version: number, supported: number): ByReferenceError {
    return new ByReferenceError(
      'E_UNSUPPORTED_VERSION',
      `The payload is of format ${version}, and this release reads up to ${supported}; retry once the deploy has reached this process.`,
      { retryable: true },
    );
  }

  /** @internal */
  static badSignature(what: string): ByReferenceError {
    return new ByReferenceError('E_BAD_SIGNATURE', `The signature can't be trusted: ${what}.`);
  }

  /** @internal */
  static expired(at: Date): ByReferenceError {
    return new ByReferenceError(
      'E_EXPIRED',
      `The signature expired at ${at.toISOString()}; ask for a new one, or sign with a later expiry.`,
    );
  }

  /** @internal */
  static entityNotFound(
    tokens: readonly EntityToken[],
    path: string,
    places: number,
    isOfSnapshot = false,
  ): ByReferenceError {
    const list = listed(tokens);
    const snapshot = isOfSnapshot
      ? 'it came after the snapshot that this transaction reads (READ COMMITTED reads what is current), '
      : '';
    return new ByReferenceError(
      'E_ENTITY_NOT_FOUND',
      `${list} at ${path}${places > 1 ? ` and ${places - 1} more places` : ''}: no such row, ${snapshot}or it is hidden from this EntityManager; discard the job, or choose missing: 'null' or 'omit'.`,
      { tokens, path, model: tokens[0]?.model },
    );
  }

  /** @internal */
  static notYetVisible(tokens: readonly EntityToken[], path: string): ByReferenceError {
    return new ByReferenceError(
      'E_NOT_YET_VISIBLE',
      `${listed(tokens)} at ${path}: the row is older than its token, so its transaction is uncommitted or a replica lags behind; retry later.`,
      { tokens, path, model: tokens[0]?.model, retryable: true },
    );
  }

  /** @internal */
  static locked(tokens: readonly EntityToken[], advice: string, cause?: unknown): ByReferenceError {
    return new ByReferenceError('E_LOCKED', `${listed(tokens)}: another transaction holds the row lock; ${advice}.`, {
      tokens,
      model: tokens[0]?.model,
      retryable: true,
      ...(cause === undefined ? {} : { cause }),
    });
  }

  /** @internal */
  static notFree(key: string, why: string): ByReferenceError {
    return new ByReferenceError('E_LOCKED', `The lock ${brief(key)} ${why}.`, { retryable: true });
  }

  /** @internal */
  static lockLost(key: string, cause: unknown): ByReferenceError {
    return new ByReferenceError(
      'E_LOCK_LOST',
      `The lock ${brief(key)} was lost while the work ran, so another may have run beside it; check what it did before you run it again.`,
      { retryable: true, cause },
    );
  }

  /** @internal */
  static drift(tokens: readonly EntityToken[], path: string): ByReferenceError {
    return new ByReferenceError(
      'E_DRIFT',
      `${listed(tokens)} at ${path}: the row has changed since it was serialized; decide again from its current state, or choose drift: 'ignore'.`,
      { tokens, path, model: tokens[0]?.model },
    );
  }

  /** @internal */
  static unflushed(tokens: readonly EntityToken[], path: string | undefined): ByReferenceError {
    return new ByReferenceError(
      'E_UNFLUSHED',
      `${listed(tokens)}${at(path)}: the entity has changes that are not flushed; flush them first.`,
      { tokens, path, model: tokens[0]?.model },
    );
  }

  /** @internal */
  static transactionMismatch(): ByReferenceError {
    return new ByReferenceError(
      'E_TRANSACTION_MISMATCH',
      'A job, message or event belongs to two transactions at once, that of its EntityManager and that of an entity in it, or of two entities; pass entities of one transaction, and its EntityManager as { em }.',
    );
  }

  /** @internal */
  static rolledBack(): ByReferenceError {
    return new ByReferenceError(
      'E_ROLLED_BACK',
      'The job was not enqueued, because its transaction, or the savepoint that it was enqueued in, was rolled back; run the transaction again.',
      { retryable: true },
    );
  }

  /** @internal */
  static commitUnknown(cause: unknown, meanwhile = ''): ByReferenceError {
    return new ByReferenceError(
      'E_COMMIT_UNKNOWN',
      `Nobody can tell whether the transaction was committed, because the connection was lost when COMMIT was sent; look at its rows before you run it again.${meanwhile}`,
      { retryable: true, cause },
    );
  }

  /** @internal */
  static timeout(id: string, state: string, timeoutMs: number): ByReferenceError {
    return new ByReferenceError(
      'E_TIMEOUT',
      `Job ${id} is ${state} after ${timeoutMs} ms; wait longer with timeoutMs, or see whether a worker takes its queue.`,
      { retryable: true },
    );
  }

  /** For engines and lock providers of your own: `unsupported('A schedule', 'take another engine')`. E_UNSUPPORTED. */
  static unsupported(what: string, advice: string, path?: string): ByReferenceError {
    return new ByReferenceError('E_UNSUPPORTED', `${what}${at(path)} is not supported here; ${advice}.`, { path });
  }

  /** For engines and lock providers of your own: `invalidOption('option cron', 'a cron expression', cron)`. E_INVALID_OPTION. */
  static invalidOption(option: string, expected: string, got: unknown, path?: string): ByReferenceError {
    const message = `Invalid ${option}${at(path)}: expected ${expected}, got ${shown(got)}.`;
    return new ByReferenceError('E_INVALID_OPTION', message, { path });
  }
}

export const brief = (key: string): string => (key.length <= 200 ? key : `${key.slice(0, 200)}…`);

const at = (path: string | undefined): string => (path === undefined ? '' : ` at ${path}`);

function listed(tokens: readonly EntityToken[]): string {
  const shownTokens = tokens.slice(0, 5).map((token) => JSON.stringify(token.toJSON().$token));
  return shownTokens.join(', ') + (tokens.length > 5 ? ` and ${tokens.length - 5} more` : '');
}

/** What somebody forgot to await. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as Partial<PromiseLike<unknown>>).then === 'function';

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return value.name || 'a function';
  if (isThenable(value)) return 'a promise, which is to be awaited';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : kindOf(value);
  return String(value);
}

/** Undefined for a plain object. */
export const customClassOf = ({ constructor: cls }: object): string | undefined =>
  typeof cls !== 'function' || cls.name === 'Object' ? undefined : cls.name;

function kindOf(value: object): string {
  const name = customClassOf(value);
  return name === undefined ? 'an object' : `an instance of ${name}`;
}
