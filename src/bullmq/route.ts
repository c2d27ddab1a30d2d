import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { EntitySerializer } from '../entity-serializer.ts';
import { canHoldJobs, transactionFor } from '../tasks/transaction.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { InFlight } from './in-flight.ts';
import type { TransactionPool } from './transaction-pool.ts';
import { type WaitingJob, WaitingJobs } from './waiting-jobs.ts';

/**
 * How jobs reach BullMQ: at once; inside a transaction, that of the entities in their data or the ambient one, with its
 * commit. On PostgreSQL they are part of the transaction; Redis has them after the commit, or when nobody can tell
 * whether there was one.
 */
export class Route {
  readonly #em: EntityManager | undefined;
  readonly #pool: TransactionPool | undefined;
  readonly #sending: InFlight;
  readonly #waiting: WaitingJobs;

  constructor(
    serializer: EntitySerializer,
    entities: Iterable<AnyEntity>,
    pool: TransactionPool | undefined,
    sending: InFlight,
  ) {
    this.#em = transactionFor(serializer, undefined, entities);
    this.#pool = this.#em !== undefined && canHoldJobs(this.#em, serializer) ? pool : undefined;
    this.#sending = sending;
    this.#waiting = WaitingJobs.of(serializer);
  }

  /**
   * Options with an id for the job, where a transaction is under way: on Redis it is told by before the job is there,
   * and on PostgreSQL BullMQ's own counter would make other producers wait for the transaction.
   */
  identified<Options extends { jobId?: string }>(options: Options | undefined): Options | undefined {
    // BullMQ 5 makes the id a part of what repeats.
    if (this.#em === undefined || (options !== undefined && 'repeat' in options)) return options;
    return { ...options, jobId: options?.jobId ?? randomUUID() } as Options;
  }

  /** In the transaction where jobs are part of it, else at once. */
  within<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#pool === undefined ? work() : this.#pool.run(this.#em!, work);
  }

  /**
   * Resolves with `meanwhile` before the commit: whoever awaited that inside the transaction would wait for good. `now`
   * is told which of its jobs were taken back until then, by their place among `jobsOf` what was resolved with.
   */
  async send<Sent>(
    now: (isTaken: (index: number) => boolean) => Promise<Sent>,
    meanwhile: () => Sent,
    jobsOf: (sent: Sent) => readonly WaitingJob[],
  ): Promise<Sent> {
    const em = this.#em;
    const isTaken = (): boolean => false;
    if (em === undefined) return now(isTaken);
    if (this.#pool !== undefined) {
      const added = await this.within(() => now(isTaken));
      const held = this.#waiting.hold(jobsOf(added), { pool: this.#pool, em });
      const release = (): void => this.#waiting.release(held);
      afterCommit(em, release, { onRollback: release, onUnknown: release });
      return added;
    }
    const sent = meanwhile();
    const held = this.#waiting.hold(jobsOf(sent));
    // A trace goes on where the job was added.
    const send = AsyncResource.bind(async (): Promise<void> => {
      held.sending = this.#sending.track(now((index) => held.takenBack.has(held.jobs[index]!)));
      try {
        await held.sending;
      } finally {
        this.#waiting.release(held);
      }
    });
    // A job of a row that is not there is discarded in the end; one that was never added would be missed by nobody.
    afterCommit(em, send, { onRollback: () => this.#waiting.release(held), onUnknown: send });
    return sent;
  }
}
