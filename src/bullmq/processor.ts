import type { Job, SandboxedJob } from 'bullmq';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { AdapterOptions } from '../tasks/adapter-options.ts';
import { JobCodec } from './job-codec.ts';
import { processJob } from './process-job.ts';

/**
 * A processor that gets the current rows, for where BullMQ calls it itself: the file of a sandboxed processor, which has
 * an ORM of its own: `export default byReferenceProcessor(serializer, async (job) => …)`. Behaves as ByReferenceWorker.
 * @throws E_INVALID_OPTION.
 */
export function byReferenceProcessor<AnyJob extends Job | SandboxedJob, Result>(
  serializer: EntitySerializer,
  processor: (job: AnyJob, token?: string, signal?: AbortSignal) => Promise<Result>,
  options: AdapterOptions = {},
): (job: AnyJob, token?: string, signal?: AbortSignal) => Promise<Result> {
  const codec = new JobCodec(serializer, options);
  const run = (job: AnyJob, token?: string, signal?: AbortSignal): Promise<unknown> =>
    processJob(codec, job as never, token, (view) => processor(view as never, token, signal));
  // BullMQ hands the signal to processors of three arguments.
  return Object.defineProperty(run, 'length', { value: processor.length }) as never;
}
