import type { Outcome, ReceivedJob, RunJobs } from '../tasks/engine.ts';

interface Waiting {
  readonly job: ReceivedJob;
  readonly resolve: (outcome: Outcome) => void;
}

/**
 * Takes jobs one by one and runs them together: those that come within one turn of the event loop, as a fetch of
 * graphile-worker's local queue hands them out, at most `batch` in a call and `concurrency` calls at once.
 */
export function gathered(run: RunJobs, batch: number, concurrency: number): (job: ReceivedJob) => Promise<Outcome> {
  const waiting: Waiting[] = [];
  let calls = 0;

  const call = async (list: readonly Waiting[]): Promise<void> => {
    calls++;
    const outcomes = await run(list.map(({ job }) => job));
    calls--;
    for (const [index, { resolve }] of list.entries()) resolve(outcomes[index]!);
    flush();
  };
  const flush = (): void => {
    if (waiting.length === 0 || calls >= concurrency) return;
    void call(waiting.splice(0, batch));
    flush();
  };

  return (job) => {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    if (waiting.push({ job, resolve }) === 1) setImmediate(flush);
    return promise;
  };
}
