/**
 * Work that runs one at a time per row or key, across processes.
 *
 * @module mikro-orm-byref/locks
 * @packageDocumentation
 */
export { Locked } from './locked.ts';
export { Locks } from './locks.ts';
export { mysqlLocks } from './mysql-locks.ts';
export { postgresLocks } from './postgres-locks.ts';
export { verrouLocks } from './verrou-locks.ts';
export type { HeldLock, LockProvider } from './lock-provider.ts';
export type { LockedDecorator, LockedOptions } from './locked.ts';
export type { Lock, LockedWork, LockGrant, LockOptions, Tried } from './locks.ts';
export type { MysqlLocksOptions } from './mysql-locks.ts';
export type { PostgresLocksOptions } from './postgres-locks.ts';
export type { PostgresClientLike } from './postgres-session.ts';
export type { LockTrace } from './tracing.ts';
export type { VerrouLockLike } from './verrou-lease.ts';
export type { VerrouLike, VerrouLocksOptions } from './verrou-locks.ts';
