import { ByReferenceError } from '../errors.ts';
import type { Lease } from './lease.ts';

/** The locks that an async context has taken, innermost first. */
export interface Held {
  readonly lease: Lease;
  readonly outer: Held | undefined;
}

/** Those that it still has: a branch of the work that runs on outlives them. */
export function leasesOf(held: Held | undefined): readonly Lease[] {
  const leases: Lease[] = [];
  for (let at = held; at !== undefined; at = at.outer) if (at.lease.isHeld) leases.push(at.lease);
  return leases;
}

interface Wait {
  readonly key: string;
  readonly held: Held;
}

/**
 * Who waits for whom, among the calls of one `Locks`. A call that waits points from every key that it holds to the one
 * that it waits for; who holds nothing can't be part of a circle. Locks of other processes and locks in hand, which
 * belong to no call, are not seen.
 *
 * Only a new wait can close a circle: a call that has just got its lock waits for nothing yet.
 */
export class WaitsFor {
  readonly #waits = new Set<Wait>();

  /**
   * Says that a call which holds `held` waits for `key`, until the returned function is called. Throws E_LOCKED where
   * that would close a circle.
   */
  begin(key: string, held: Held | undefined): () => void {
    const own = new Set(leasesOf(held).map((lease) => lease.key));
    if (held === undefined || own.size === 0) return () => undefined;
    const circle = this.#path(key, own, new Set());
    if (circle !== undefined) throw ByReferenceError.crossing(circle);
    const wait = { key, held };
    this.#waits.add(wait);
    return () => this.#waits.delete(wait);
  }

  /** The keys from `key` to one of `ends`: each is held by a call that waits for the next one. */
  #path(key: string, ends: ReadonlySet<string>, seen: Set<string>): readonly string[] | undefined {
    if (ends.has(key)) return [key];
    if (seen.has(key)) return undefined;
    seen.add(key);
    for (const wait of this.#waits) {
      const path = holds(wait.held, key) ? this.#path(wait.key, ends, seen) : undefined;
      if (path !== undefined) return [key, ...path];
    }
    return undefined;
  }
}

const holds = (held: Held, key: string): boolean => leasesOf(held).some((lease) => lease.key === key);
