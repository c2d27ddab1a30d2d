import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { EntitySerializer } from '../entity-serializer.ts';
import { canHoldJobs, transactionFor } from '../tasks/transaction.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { InFlight } from './in-flight.ts';
import type { TransactionPool } from './transaction-pool.ts';

/**
 * How jobs reach BullMQ: at once; inside a transaction, that of the entities in their data or the ambient one, with its
 * commit. On PostgreSQL they are part of the transaction; Redis has them after the commit, or when nobody can tell
 * whether there was one.
 */
export class Route {
  readonly #em: EntityManager | undefined;
  readonly #pool: TransactionPool | undefined;
  readonly #sending: InFlight;

  constructor(
    serializer: EntitySerializer,
    entities: Iterable<AnyEntity>,
    pool: TransactionPool | undefined,
    sending: InFlight,
  ) {
    this.#em = transactionFor(serializer, undefined, entities);
    this.#pool = this.#em !== undefined && canHoldJobs(this.#em, serializer) ? pool : undefined;
    this.#sending = sending;
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

  /** Resolves with `meanwhile` before the commit: whoever awaited that inside the transaction would wait for good. */
  async send<Sent>(now: () => Promise<Sent>, meanwhile: () => Sent): Promise<Sent> {
    if (this.#em === undefined) return now();
    if (this.#pool !== undefined) return this.#pool.run(this.#em, now);
    const sent = meanwhile();
    // A trace goes on where the job was added.
    const send = AsyncResource.bind(() => this.#sending.track(now()));
    // A job of a row that is not there is discarded in the end; one that was never added would be missed by nobody.
    afterCommit(this.#em, send, { onUnknown: send });
    return sent;
  }
}
