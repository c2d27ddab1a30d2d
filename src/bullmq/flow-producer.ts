import { type FlowJob, type FlowOpts, FlowProducer, type Job, type JobNode, type QueueBaseOptions } from 'bullmq';
import { FlowWriter } from './flow-writer.ts';
import { markByReference } from './in-place.ts';
import { type BullMqOptions, type ByReferenceOptions, settle } from './options.ts';

/** BullMQ's FlowProducer, its data by reference; a parent's `getChildrenValues()` gives its processor the rows of now. */
export class ByReferenceFlowProducer extends FlowProducer {
  readonly #writer: FlowWriter;

  constructor(options: BullMqOptions<QueueBaseOptions> & ByReferenceOptions, ...backend: unknown[]) {
    const settled = settle<QueueBaseOptions>(options);
    super(settled.options, ...(backend as []));
    this.#writer = new FlowWriter(this, settled);
    markByReference(this);
  }

  protected override get Job(): typeof Job {
    return this.#writer.job;
  }

  override async add(flow: FlowJob, options?: FlowOpts): Promise<JobNode> {
    return (await this.#writer.add([flow], async ([stored]) => [await super.add(stored!, options)]))[0]!;
  }

  override async close(): Promise<void> {
    await this.#writer.close(() => super.close());
  }

  override async addBulk(flows: FlowJob[]): Promise<JobNode[]> {
    return this.#writer.add(flows, (stored) => super.addBulk(stored));
  }
}
