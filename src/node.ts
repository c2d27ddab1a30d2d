import { ByReferenceError } from './errors.ts';

/** Throws E_UNSUPPORTED in a Node that is too old: it would fail at the first revive, with a TypeError of whatever it lacks. */
export function requireNode(): void {
  if (typeof Promise.withResolvers === 'function' && typeof Map.groupBy === 'function') return;
  throw ByReferenceError.unsupported(`Node ${process.version}`, 'mikro-orm-byref needs Node 22.17 or newer');
}
