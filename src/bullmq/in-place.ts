/**
 * By reference for what somebody else has made: a framework's queues, flow producers and workers. Each behaves as the
 * class of this library, its own methods below. One that is of this library already is left.
 */
import type { FlowJob, FlowOpts, FlowProducer, Job, JobsOptions, Queue, Worker } from 'bullmq';
import { FlowWriter } from './flow-writer.ts';
import { InFlight } from './in-flight.ts';
import type { JobCodec } from './job-codec.ts';
import { jobClass } from './job.ts';
import type { Writing } from './options.ts';
import { processingBy } from './process-job.ts';
import { QueueWriter } from './queue-writer.ts';

type Method = (...args: never[]) => unknown;

export function makeQueueByReference(queue: Queue, codec: JobCodec): void {
  if (isByReference(queue)) return;
  const writer = new QueueWriter(queue, afterCommits(codec), jobOf(queue));
  const { add, addBulk, upsertJobScheduler, updateJobProgress, close } = queue;
  replace(queue, writer.job, {
    add: async (name: string, data: unknown, given?: JobsOptions) =>
      writer.add(name, data, given, (stored, options) => add.call(queue, name, stored, options)),
    addBulk: async (jobs: Parameters<Queue['addBulk']>[0]) =>
      writer.addBulk(jobs, (stored) => addBulk.call(queue, stored as never)),
    upsertJobScheduler: async (...[id, repeat, template]: Parameters<Queue['upsertJobScheduler']>) =>
      writer.upsertJobScheduler(template, (stored) => upsertJobScheduler.call(queue, id, repeat, stored)),
    updateJobProgress: async (id: string, progress: unknown) =>
      writer.updateJobProgress(progress, (stored) => updateJobProgress.call(queue, id, stored)),
    close: () => writer.close(() => close.call(queue)),
  });
}

export function makeFlowProducerByReference(producer: FlowProducer, codec: JobCodec): void {
  if (isByReference(producer)) return;
  const writer = new FlowWriter(producer, afterCommits(codec), jobOf(producer));
  const { add, addBulk, close } = producer;
  replace(producer, writer.job, {
    add: async (flow: FlowJob, options?: FlowOpts) =>
      (await writer.add([flow], async ([stored]) => [await add.call(producer, stored!, options)]))[0],
    addBulk: async (flows: FlowJob[]) => writer.add(flows, (stored) => addBulk.call(producer, stored)),
    close: () => writer.close(() => close.call(producer)),
  });
}

/** To be called right after its constructor: a worker takes its first job later. */
export function makeWorkerByReference(worker: Worker, processor: unknown, codec: JobCodec): void {
  if (isByReference(worker)) return;
  const process = processingBy(processor);
  const { callProcessJob } = worker as unknown as { callProcessJob: (job: Job, ...rest: unknown[]) => unknown };
  replace(worker, jobClass(codec, jobOf(worker)), {
    callProcessJob: (job: Job, token: string, signal?: AbortSignal) =>
      process(codec, job as never, token, (view) => callProcessJob.call(worker, view as never, token, signal)),
  });
}

/** A connection to BullMQ's PostgreSQL backend is not ours to join transactions with: jobs follow after the commit. */
const afterCommits = (codec: JobCodec): Writing => ({ codec, pool: undefined, sending: new InFlight() });

const jobOf = (host: object): typeof Job => (host as { Job: typeof Job }).Job;

function replace(host: object, job: typeof Job, methods: Readonly<Record<string, Method>>): void {
  for (const [name, value] of Object.entries({ Job: job, ...methods })) {
    Object.defineProperty(host, name, { value, writable: true, configurable: true });
  }
  markByReference(host);
}

const MARK = Symbol.for('mikro-orm-byref.bullmq');

/** Says of a queue, flow producer or worker that its data is by reference already: encoded twice, it would not be read. */
export const markByReference = (host: object): unknown => Object.defineProperty(host, MARK, { value: true });

export const isByReference = (host: object): boolean => MARK in host;
