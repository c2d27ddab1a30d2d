import type { Processor, QueueBaseOptions, QueueOptions, WorkerOptions } from 'bullmq';
import type { EntitySerializer } from '../entity-serializer.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { AdapterOptions } from '../tasks/adapter-options.ts';
import { ByReferenceFlowProducer } from './flow-producer.ts';
import type { BullMqOptions } from './options.ts';
import { ByReferenceQueue } from './queue.ts';
import { ByReferenceWorker } from './worker.ts';

/** BullMQ's classes under their own names, to be imported in their place. */
export interface ByReferenceClasses {
  /** `new Queue('mails', { connection })`: see `ByReferenceQueue`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ’s own defaults
  readonly Queue: new <Data = any, Result = any, Name extends string = string>(
    name: string,
    options: BullMqOptions<QueueOptions>,
    ...backend: unknown[]
  ) => ByReferenceQueue<Data, Result, Name>;
  /** `new Worker('mails', async (job) => …, { connection })`: see `ByReferenceWorker`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ’s own defaults
  readonly Worker: new <Data = any, Result = any, Name extends string = string>(
    name: string,
    processor: string | URL | null | Processor<Data, Result, Name> | undefined,
    options: BullMqOptions<WorkerOptions>,
    ...backend: unknown[]
  ) => ByReferenceWorker<Data, Result, Name>;
  /** `new FlowProducer({ connection })`: see `ByReferenceFlowProducer`. */
  readonly FlowProducer: new (
    options: BullMqOptions<QueueBaseOptions>,
    ...backend: unknown[]
  ) => ByReferenceFlowProducer;
}

/**
 * BullMQ's classes for one serializer, so that an application changes its imports and nothing else:
 * `export const { Queue, Worker, FlowProducer } = byReference(serializer)`.
 * @throws E_INVALID_OPTION.
 */
export function byReference(serializer: EntitySerializer, options: AdapterOptions = {}): ByReferenceClasses {
  // Put among BullMQ's own, a wrong name would be found by nobody.
  void new AdapterCodec(serializer, options);
  const ours = { ...options, serializer };
  return {
    Queue: class Queue<Data, Result, Name extends string> extends ByReferenceQueue<Data, Result, Name> {
      constructor(name: string, given: BullMqOptions<QueueOptions>, ...backend: unknown[]) {
        super(name, { ...given, ...ours }, ...backend);
      }
    },
    Worker: class Worker<Data, Result, Name extends string> extends ByReferenceWorker<Data, Result, Name> {
      constructor(
        name: string,
        processor: string | URL | null | Processor<Data, Result, Name> | undefined,
        given: BullMqOptions<WorkerOptions>,
        ...backend: unknown[]
      ) {
        super(name, processor, { ...given, ...ours }, ...backend);
      }
    },
    FlowProducer: class FlowProducer extends ByReferenceFlowProducer {
      constructor(given: BullMqOptions<QueueBaseOptions>, ...backend: unknown[]) {
        super({ ...given, ...ours }, ...backend);
      }
    },
  };
}
