import { milliseconds } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { DeserializeOptions } from '../options.ts';
import { isDatabaseFailure, isError, isOrmError, reasonOf } from '../orm/orm-error.ts';
import { harmless, toStorable } from '../text.ts';
import { isEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonValue } from '../wire/json.ts';
import type { JobFailure, Outcome, Retries } from './engine.ts';
import { DiscardJobError, RetryJobError } from './job-errors.ts';

/**
 * What an unreadable payload means: a row may still appear, a deploy may still come, the database may come back; else no
 * retry will help.
 */
export function unreadable(error: unknown, isRowAwaited: boolean): Outcome {
  const isOurs = error instanceof ByReferenceError;
  if (!isOurs && isDatabaseFailure(error)) return postpone(error);
  const isHopeful = !isOurs || (mayAppear(error) ? isRowAwaited : error.retryable);
  return { status: isHopeful ? 'retry' : 'discard', error: { ...describe(error), unread: true }, cause: error };
}

/**
 * The milliseconds for which the retries before an attempt have waited, at least: how long a missing row has had to
 * appear, by no clock but the engine's.
 */
export function waitedMs(attempt: number, { delayMs, backoff }: Retries): number {
  return delayMs * (backoff ? 2 ** (attempt - 1) - 1 : attempt - 1);
}

/** A row that a transaction under way may still bring. */
export const mayAppear = (error: unknown): boolean =>
  error instanceof ByReferenceError && (error.code === 'E_ENTITY_NOT_FOUND' || error.code === 'E_NOT_YET_VISIBLE');

/** What a transaction is rolled back with whose job has another worker by now. */
export const takenOver = (id: string): Error => new Error(`Job ${id} is no longer this worker's.`);

/** What a failed attempt comes to: another one, unless the handler knows better. */
export function failed(error: unknown): Outcome {
  if (error instanceof DiscardJobError) return discard(error);
  const { delayMs } = error instanceof RetryJobError ? error : { delayMs: undefined };
  const [, isValid] = milliseconds;
  return isValid(delayMs) ? { ...retry(error), delayMs: delayMs! } : retry(error);
}

export const retry = (cause: unknown): Outcome & { readonly status: 'retry' } => ({
  status: 'retry',
  error: describe(cause),
  cause,
});

export const discard = (cause: unknown): Outcome => ({ status: 'discard', error: describe(cause), cause });

/** No fault of the job's: nothing of its handler has run. */
export const postpone = (cause: unknown): Outcome => ({ status: 'postpone', error: describe(cause), cause });

/** Milliseconds until a postponed job is looked at again, `looks` times having been in vain: twice as long each time, up to a minute. */
export const postponedMs = (looks: number): number => Math.min(1_000 * 2 ** Math.max(0, looks - 1), 60_000);

/** What is kept of a failure. */
export function describe(error: unknown): JobFailure {
  if (!isError(error)) return { name: 'Error', message: printed(error) };
  const [name, message] = [printed(error.name, 200), printed(reasonOf(error))];
  if (error instanceof ByReferenceError) {
    const tokens = error.tokens.slice(0, MOST_TOKENS).map((token) => brief(token.toBody()));
    return { name, message, code: error.code, retryable: error.retryable, path: error.path ?? null, tokens };
  }
  if (isOrmError(error)) {
    const { code } = error as { code?: unknown };
    return { name, message, code: typeof code === 'string' ? printed(code, 200) : null };
  }
  return { name, message, stack: stackOf(error, `${name}: ${message}`) };
}

/** A failure is kept with each of its attempts; the payload still has all of them. */
const MOST_TOKENS = 100;

/** A token's body without what would make it long. */
function brief(json: JsonValue): JsonValue {
  if (typeof json === 'string') return printed(json, 200);
  if (Array.isArray(json)) return json.map(brief);
  if (!isJsonObject(json)) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, brief(value)]));
}

/** The frames of a stack below what was thrown: no line of a message passes for one. */
function stackOf({ message, stack }: Error, header: string): string {
  if (typeof stack !== 'string' || typeof message !== 'string') return header;
  const lines = stack.slice(stack.indexOf(message) + message.length).split('\n');
  const frames = lines.filter((line) => /^\s+at /.test(line)).slice(0, MOST_FRAMES);
  return [header, ...frames.map((frame) => printed(frame, 500))].join('\n');
}

const MOST_FRAMES = 50;

/** Anything may be thrown, and may be put in the place of a name or a message. */
function printed(value: unknown, length?: number): string {
  try {
    return harmless(toStorable(String(value)), length);
  } catch {
    return 'a value that can’t be printed';
  }
}

/**
 * What handlers receive of the data of their jobs: the current rows, one query per model for all. Data without an
 * envelope is of before this library, and passes as it is unless it is to be refused: by `plain`, and where `as` or
 * `only` say what a handler may be given.
 */
export async function readJobs(
  serializer: EntitySerializer,
  list: readonly unknown[],
  plain: 'pass' | 'refuse',
  options: DeserializeOptions,
): Promise<PromiseSettledResult<unknown>[]> {
  const passes = list.map((data) => isPlain(data, plain, options));
  const payloads = list.filter((_, index) => !passes[index]) as JsonValue[];
  const results = (await serializer.decodeAll(payloads, options)).values();
  return list.map((data, index) =>
    passes[index] ? { status: 'fulfilled', value: structuredClone(data) } : results.next().value!,
  );
}

/** Whether a job's data passes as it is. */
export const isPlain = (data: unknown, plain: 'pass' | 'refuse', { as, only }: DeserializeOptions): boolean =>
  plain === 'pass' && as === undefined && only === undefined && !isEnvelope(data);
