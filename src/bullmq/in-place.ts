/**
 * By reference for what somebody else has made: a framework's queues, flow producers and workers. Each is given the
 * methods that a class of this library has. One that is by reference already is left: encoded twice, its data would not
 * be read.
 */
import type { FlowProducer, Job, Queue, Worker } from 'bullmq';
import { flowMethods, FlowWriter } from './flow-writer.ts';
import { isByReference, replaceMethods, accompany } from './host.ts';
import type { JobCodec } from './job-codec.ts';
import type { Writing } from './options.ts';
import { JobProcessing, workerMethods } from './processing.ts';
import { QUEUE_METHODS, queueMethods, QueueWriter } from './queue-writer.ts';

export function makeQueueByReference(queue: Queue, writing: Writing): void {
  if (isByReference(queue)) return;
  accompany(queue, new QueueWriter(queue, writing, jobOf(queue)));
  const own = Object.fromEntries(QUEUE_METHODS.map((name) => [name, queue[name]]));
  replaceMethods(queue, queueMethods(own as Parameters<typeof queueMethods>[0]));
}

export function makeFlowProducerByReference(producer: FlowProducer, writing: Writing): void {
  if (isByReference(producer)) return;
  accompany(producer, new FlowWriter(producer, writing, jobOf(producer)));
  const { add, addBulk, close } = producer;
  replaceMethods(producer, flowMethods({ add, addBulk, close }));
}

/** To be called right after its constructor: a worker takes its first job later. */
export function makeWorkerByReference(worker: Worker, processor: unknown, codec: JobCodec): void {
  if (isByReference(worker)) return;
  accompany(worker, new JobProcessing(processor, codec, jobOf(worker)));
  const { callProcessJob } = worker as unknown as Parameters<typeof workerMethods>[0];
  replaceMethods(worker, workerMethods({ callProcessJob }));
}

const jobOf = (host: object): typeof Job => (host as { Job: typeof Job }).Job;
