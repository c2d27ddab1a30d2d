import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { TransactionPool } from './transaction-pool.ts';

/** A job, by what it is found by; a scheduler is one here as well. */
export interface WaitingJob {
  readonly id?: string | undefined;
  readonly queueQualifiedName: string;
  readonly opts: { readonly delay?: number };
  readonly isScheduler?: true;
}

/** Jobs of one call, until the transaction that they wait for has ended and they are where they belong. */
export interface Held {
  readonly jobs: readonly WaitingJob[];
  readonly takenBack: Set<WaitingJob>;
  /** Set where they are part of the transaction. */
  readonly within?: { readonly pool: TransactionPool; readonly em: EntityManager };
  /** Set once they are on their way. */
  sending?: Promise<unknown>;
}

/** What the queues and flow producers of a serializer have added in transactions that are open. */
export class WaitingJobs {
  readonly #held = new Set<Held>();

  static of(serializer: EntitySerializer): WaitingJobs {
    const known = bySerializer.get(serializer) ?? new WaitingJobs();
    bySerializer.set(serializer, known);
    return known;
  }

  hold(jobs: readonly WaitingJob[], within?: Held['within']): Held {
    const held: Held = { jobs, takenBack: new Set(), ...(within && { within }) };
    this.#held.add(held);
    return held;
  }

  release(held: Held): void {
    this.#held.delete(held);
  }

  /**
   * Keeps jobs from being added, and says what it did: nothing, or whether they were to be added later (`taken`) or are
   * part of a transaction (`within`), from which `removeWithin` has removed them. Those that have left are waited for,
   * so that they can be found.
   */
  async takeBack(
    isMeant: (job: WaitingJob) => boolean,
    removeWithin: (job: WaitingJob, within: NonNullable<Held['within']>) => Promise<unknown>,
  ): Promise<'nothing' | 'taken' | 'within'> {
    let done: 'nothing' | 'taken' | 'within' = 'nothing';
    for (const { jobs, within, sending, takenBack } of this.#held) {
      const meant = jobs.filter((job) => isMeant(job) && !takenBack.has(job));
      if (meant.length === 0) continue;
      if (sending !== undefined) {
        await Promise.allSettled([sending]);
        continue;
      }
      done = within === undefined ? 'taken' : 'within';
      for (const job of meant) {
        takenBack.add(job);
        if (within !== undefined) await removeWithin(job, within);
      }
    }
    return done;
  }
}

/** Any queue of a name may be asked for a job that another one has added. */
const bySerializer = new WeakMap<EntitySerializer, WaitingJobs>();
