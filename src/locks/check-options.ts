import { check, type Check, isName } from '../check-options.ts';
import type { LockOptions } from './locks.ts';
import type { LockedOptions } from './locked.ts';
import type { PostgresLocksOptions } from './postgres-locks.ts';
import type { VerrouLocksOptions } from './verrou-locks.ts';

/** What a timer of Node can wait. */
const MAX_MS = 2 ** 31 - 1;
const isMs = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= MAX_MS;
const ms: Check = ['milliseconds', isMs];
const aFunction: Check = ['a function', (value) => typeof value === 'function'];
const aName: Check = ['a name', isName];

const waitMs: Check = [
  `milliseconds up to ${MAX_MS}, 0 for a single try, or Infinity`,
  (value) => value === 0 || value === Infinity || isMs(value),
];

const LOCK_CHECKS: Record<keyof LockOptions, Check> = {
  waitMs,
  signal: ['an AbortSignal', (value) => typeof (value as AbortSignal | null)?.addEventListener === 'function'],
};

const LOCKED_CHECKS: Record<keyof LockedOptions, Check> = { key: aFunction, locks: aFunction, waitMs };

const POSTGRES_CHECKS: Record<keyof PostgresLocksOptions, Check> = {
  namespace: aName,
  connection: aFunction,
  pollMs: ms,
  heartbeatMs: ms,
};

const VERROU_CHECKS: Record<keyof VerrouLocksOptions, Check> = { leaseMs: ms, pollMs: ms, namespace: aName };

export const checkLockOptions = (options: LockOptions): void => check(options, LOCK_CHECKS, 'option ');
export const checkLockedOptions = (options: LockedOptions): void => check(options, LOCKED_CHECKS, '@Locked option ');
export const checkPostgresLocksOptions = (options: PostgresLocksOptions): void =>
  check(options, POSTGRES_CHECKS, 'option ');
export const checkVerrouLocksOptions = (options: VerrouLocksOptions): void => check(options, VERROU_CHECKS, 'option ');
