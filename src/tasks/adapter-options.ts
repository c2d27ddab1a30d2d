import { type Check, milliseconds, oneOf } from '../check.ts';
import { DESERIALIZE_CHECKS, type DeserializeOptions } from '../options.ts';
import { aJobSigning, type JobSigning } from './seal.ts';
import { aTaskContext, type TaskContext } from './task-context.ts';

/** What the adapters to an engine's own API take. */
export interface AdapterOptions extends Pick<DeserializeOptions, 'only' | 'missing' | 'populate'> {
  /**
   * Signs jobs and results, and takes no others.
   * @defaultValue as the serializer’s
   */
  readonly signed?: JobSigning;
  /**
   * What happens to job data without an envelope: it reaches the handler unchanged (`pass`), or is discarded
   * (`refuse`). With `signed` it is discarded in any case.
   * @defaultValue `'pass'`; with `signed` `'refuse'`
   */
  readonly plain?: 'pass' | 'refuse';
  /**
   * How long a missing row may take to appear, once the job is due: until its retries have waited for so many
   * milliseconds in all the job is retried, then discarded.
   * @defaultValue 10,000
   */
  readonly retryMissingForMs?: number;
  /**
   * False for the first step of a deploy: workers understand tokens already, producers write what they wrote before.
   * Not with `signed`.
   * @defaultValue true
   */
  readonly encode?: boolean;
  /**
   * What travels with a job beside its data, tenant, locale, parameters of filters: captured where the job is enqueued,
   * and given to `run`, which is called around the processor and before its rows are read.
   * @defaultValue none
   */
  readonly context?: TaskContext;
}

export const ADAPTER_CHECKS: Record<keyof AdapterOptions, Check> = {
  plain: oneOf('pass', 'refuse'),
  signed: aJobSigning,
  only: DESERIALIZE_CHECKS.only,
  missing: DESERIALIZE_CHECKS.missing,
  populate: DESERIALIZE_CHECKS.populate,
  retryMissingForMs: milliseconds,
  encode: oneOf(true, false),
  context: aTaskContext,
};
