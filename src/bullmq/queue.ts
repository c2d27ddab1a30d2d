import { Queue, type QueueOptions } from 'bullmq';
import { replaceMethods, accompany } from './host.ts';
import { type BullMqOptions, split, type WithSerializer } from './options.ts';
import { queueMethods, QueueWriter } from './queue-writer.ts';

/**
 * BullMQ's Queue, its data by reference: entities in what is added travel as tokens. Inside a transaction jobs are
 * added with its commit; on Redis `upsertJobScheduler` then resolves with undefined, as which job is the next one is
 * known after it. The `data` of a job outside its processor is what is stored; `serializer.decode` reads it.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- BullMQ’s own defaults
export class ByReferenceQueue<Data = any, Result = any, Name extends string = string> extends Queue<
  Data,
  Result,
  Name
> {
  static {
    replaceMethods(this.prototype, queueMethods(Queue.prototype));
  }

  /**
   * `new ByReferenceQueue('mails', { connection, serializer })`; `connection` may be a `pg.Pool`.
   * @throws E_INVALID_OPTION.
   */
  constructor(name: string, options: BullMqOptions<QueueOptions> & WithSerializer, ...backend: unknown[]) {
    const { bullmq, writing } = split<QueueOptions>(options);
    super(name, bullmq, ...(backend as []));
    accompany(this, new QueueWriter(this as never, writing));
  }
}
