import { type Processor, Worker, type WorkerOptions } from 'bullmq';
import { replaceMethods, accompany } from './host.ts';
import { type BullMqOptions, split, type WithSerializer } from './options.ts';
import { JobProcessing, workerMethods } from './processing.ts';

/**
 * BullMQ's Worker, its data by reference: a processor gets the current rows, in an EntityManager and request context of
 * its own. A missing row ends the job by UnrecoverableError; data without an envelope is passed on as it is, so that
 * queues can be migrated while they run. A sandboxed processor reads its jobs itself: see `byReferenceProcessor`.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- BullMQ’s own defaults
export class ByReferenceWorker<Data = any, Result = any, Name extends string = string> extends Worker<
  Data,
  Result,
  Name
> {
  static {
    replaceMethods(this.prototype, workerMethods(Worker.prototype as never));
  }

  /**
   * `new ByReferenceWorker('mails', async (job) => …, { connection, serializer })`; `connection` may be a `pg.Pool`.
   * @throws E_INVALID_OPTION.
   */
  constructor(
    name: string,
    processor: string | URL | null | Processor<Data, Result, Name> | undefined,
    options: BullMqOptions<WorkerOptions> & WithSerializer,
    ...backend: unknown[]
  ) {
    const { bullmq, writing } = split<WorkerOptions>(options);
    super(name, processor, bullmq, ...(backend as []));
    this.once('closing', () => writing.pool?.giveUp());
    accompany(this, new JobProcessing(processor, writing.codec));
  }
}
