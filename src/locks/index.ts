export { Locked } from './locked.ts';
export { Locks } from './locks.ts';
export { postgresLocks } from './postgres-locks.ts';
export { verrouLocks } from './verrou-locks.ts';

export type { HeldLock, LockProvider } from './lock-provider.ts';
export type { LockedDecorator, LockedOptions } from './locked.ts';
export type { Lock, LockOptions, Tried } from './locks.ts';
export type { PostgresLocksOptions } from './postgres-locks.ts';
export type { PostgresClientLike } from './postgres-session.ts';
export type { VerrouLockLike } from './verrou-lease.ts';
export type { VerrouLike, VerrouLocksOptions } from './verrou-locks.ts';
