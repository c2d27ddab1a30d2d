import { ByReferenceError } from '../errors.ts';
import { Outbox } from '../outbox/outbox.ts';
import type { Engine } from '../tasks/engine.ts';
import { BullMqEngine } from './bullmq-engine.ts';
import type { BullMqEngineOptions } from './engine-options.ts';
import { OutboxEngine } from './outbox-engine.ts';

/**
 * Jobs by BullMQ 6, and 5. On Redis they are enqueued after the commit of the transaction they belong to, and when
 * nobody can tell whether it has committed: if the process dies between the two, the job is lost, unless there is
 * an `outbox`: then they are rows of the transaction, and a relay brings them to Redis.
 *
 * On BullMQ's PostgreSQL backend, in the application's own database, they are part of the transaction, and of the one
 * that their handler writes in (`transactional: true`). BullMQ's schema must be there before, as the BullMQ at hand has
 * it: `runMigrations(client, 'bullmq')` at each deploy.
 *
 * A discarded job is `failed`, by UnrecoverableError. Finished jobs are kept for seven days, unless
 * `queue.defaultJobOptions` say otherwise. `stop()` closes the connections that were opened here.
 * @throws E_INVALID_OPTION.
 */
export function bullmqEngine(options: BullMqEngineOptions): Engine {
  const { outbox, ...own } = options;
  if (outbox === undefined) return new BullMqEngine(own);
  if (own.backend !== undefined) {
    throw ByReferenceError.invalidOption('option outbox', 'none on PostgreSQL, where jobs are rows already', outbox);
  }
  if (!(outbox instanceof Outbox)) throw ByReferenceError.invalidOption('option outbox', 'an Outbox', outbox);
  return new OutboxEngine(outbox, () => new BullMqEngine(own));
}
