import { FlowProducer, type QueueBaseOptions } from 'bullmq';
import { flowMethods, FlowWriter } from './flow-writer.ts';
import { replaceMethods, accompany } from './host.ts';
import { type BullMqOptions, split, type WithSerializer } from './options.ts';

/** BullMQ's FlowProducer, its data by reference; a parent's `getChildrenValues()` gives its processor the current rows. */
export class ByReferenceFlowProducer extends FlowProducer {
  static {
    replaceMethods(this.prototype, flowMethods(FlowProducer.prototype));
  }

  /**
   * `new ByReferenceFlowProducer({ connection, serializer })`; `connection` may be a `pg.Pool`.
   * @throws E_INVALID_OPTION.
   */
  constructor(options: BullMqOptions<QueueBaseOptions> & WithSerializer, ...backend: unknown[]) {
    const { bullmq, writing } = split<QueueBaseOptions>(options);
    super(bullmq, ...(backend as []));
    accompany(this, new FlowWriter(this, writing));
  }
}
