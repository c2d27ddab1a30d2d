import type { EntityManager } from '@mikro-orm/core';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { type Outcome, valueOf } from '../reviving/outcomes.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { JobCodec } from './job-codec.ts';
import { eventView, jobId, type JobLike } from './job-view.ts';

/**
 * Calls a listener of a worker's event with the current rows, in an EntityManager and request context of its own, and in
 * the context that its job was made in. What can't be read keeps no event away: null stands for a row that is gone, the
 * job throws the reason where its data is asked for, and a result or progress stays as it is stored and is told of.
 */
export function callListener(
  codec: JobCodec,
  [job, stored, ...others]: readonly unknown[],
  listener: (...args: unknown[]) => unknown,
  tell: (reason: unknown) => void,
): Promise<unknown> {
  return runInRequest(globalManagers(codec.serializer), async (em) => {
    // `stalled` and `drained` bring none, and nothing is left of one that was removed.
    if (!isJob(job)) return listener(job, stored, ...others);
    const opened = codec.openData(job);
    const context = await codec.context.read(opened.status === 'fulfilled' ? opened.value : undefined, em);
    return codec.context.run(context.status === 'fulfilled' ? context.value : undefined, em, async () => {
      const [data, value] = await readEvent(codec, job, opened, stored, em);
      if (value.status === 'rejected') tell(value.reason);
      const current = value.status === 'fulfilled' ? value.value : stored;
      return listener(
        eventView(job, () => valueOf(data), stored, current),
        current,
        ...others,
      );
    });
  });
}

/** The data of a job, and the result or progress beside it. */
async function readEvent(
  codec: JobCodec,
  job: JobLike,
  opened: Outcome<unknown>,
  stored: unknown,
  em: EntityManager,
): Promise<[data: Outcome<unknown>, value: Outcome<unknown>]> {
  const open = [() => valueOf(opened), ...(isEnvelope(stored) ? [() => codec.openValue(stored, jobId(job))] : [])];
  const kept: Outcome<unknown> = { status: 'fulfilled', value: stored };
  try {
    const [data, value = kept] = await codec.read(open, (one) => one(), em, { missing: 'null' });
    return [data!, value];
  } catch (reason) {
    const failed: Outcome<unknown> = { status: 'rejected', reason };
    return [failed, isEnvelope(stored) ? failed : kept];
  }
}

const isJob = (value: unknown): value is JobLike =>
  typeof value === 'object' && value !== null && 'data' in value && 'queueName' in value;
