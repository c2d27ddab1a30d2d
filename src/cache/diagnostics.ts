import { createHash } from 'node:crypto';
import { tracingChannel } from 'node:diagnostics_channel';
import type { Stamps } from './witness.ts';

/**
 * What `tracingChannel('mikro-orm-byref:cache')` tells of a `getOrSet`: the key from its `start` on, the rest with
 * `asyncEnd`; `error` where it failed.
 */
export interface CacheOperation {
  /** Which call it is. */
  readonly operation: 'getOrSet';
  /** A digest of the key and its scope: equal for equal ones, and nothing of what they say. */
  readonly key: string;
  /** Whether a stored value was served, be it one in its grace period. */
  hit?: boolean;
  /** The rows in the value by model, or by the root of its inheritance tree: `{ User: 20, Post: 1 }`. */
  models?: { readonly [model: string]: number };
  /** What it rejected with. */
  error?: unknown;
}

const operations = tracingChannel<CacheOperation>('mikro-orm-byref:cache');

export const isTraced = (): boolean => operations.hasSubscribers;

/** Runs an operation, which is told what to fill in. */
export function traced<Result>(key: string, run: (operation: CacheOperation) => Promise<Result>): Promise<Result> {
  const digest = createHash('sha256').update(key).digest('base64url').slice(0, 22);
  const operation: CacheOperation = { operation: 'getOrSet', key: digest };
  return operations.tracePromise(() => run(operation), operation);
}

/** Fills in how it went. */
export function tell(operation: CacheOperation | undefined, hit: boolean, stamps: Stamps): void {
  if (operation === undefined) return;
  const models: Record<string, number> = {};
  for (const tag of Object.keys(stamps)) {
    if (!tag.startsWith('row:')) continue;
    const [model] = JSON.parse(tag.slice('row:'.length)) as [string];
    models[model] = (models[model] ?? 0) + 1;
  }
  Object.assign(operation, { hit, models });
}
