import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { afterCommit } from '../after-commit.ts';
import { transactionFor } from '../tasks/transaction.ts';
import type { Settled } from './options.ts';

/**
 * How jobs reach BullMQ: at once; inside a transaction, that of the entities in their data or the ambient one, with its
 * commit. On PostgreSQL they are part of the transaction; Redis has them after the commit.
 */
export class Route {
  readonly #em: EntityManager | undefined;
  readonly #pool: Settled<object>['pool'];

  constructor({ codec, pool }: Pick<Settled<object>, 'codec' | 'pool'>, entities: Iterable<AnyEntity>) {
    this.#em = transactionFor(codec.serializer.orm.em, undefined, entities);
    this.#pool = pool;
  }

  /** Whether jobs are added after the commit; they then need an id of their own to be told by meanwhile. */
  get isDeferred(): boolean {
    return this.#em !== undefined && this.#pool === undefined;
  }

  /** Options with an id for the job, where it is deferred. */
  identified<Options extends { jobId?: string }>(options: Options | undefined): Options | undefined {
    return this.isDeferred ? ({ ...options, jobId: options?.jobId ?? randomUUID() } as Options) : options;
  }

  /** Resolves with `meanwhile` before the commit: whoever awaited that inside the transaction would wait for good. */
  async send<Sent>(now: () => Promise<Sent>, meanwhile: () => Sent): Promise<Sent> {
    if (this.#em === undefined) return now();
    if (this.#pool !== undefined) return this.#pool.run(this.#em, now);
    const sent = meanwhile();
    // A trace goes on where the job was added.
    afterCommit(
      this.#em,
      AsyncResource.bind(async () => void (await now())),
    );
    return sent;
  }
}
