import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { EntityToken } from '../wire/token.ts';
import type { Outcome, ReceivedJob } from './engine.ts';
import type { ErrorReport } from './error-report.ts';
import { metadataOf } from './job-metadata.ts';
import type { JobRunner, OpenedJob } from './job-runner.ts';
import { unreadable } from './outcome.ts';
import type { Seal } from './seal.ts';
import type { TaskDefinition } from './task-definition.ts';

/** A received job, as far as it has come. */
interface Dispatched extends OpenedJob {
  readonly task: TaskDefinition | undefined;
  outcome: Outcome | undefined;
}

/** Received jobs → outcomes: opens them, finds the task of each, has it run, and tells of what failed. */
export class JobDispatcher {
  readonly #serializer: EntitySerializer;
  readonly #seal: Seal;
  readonly #runner: JobRunner;
  readonly #tell: (report: ErrorReport) => void;

  constructor(serializer: EntitySerializer, seal: Seal, runner: JobRunner, tell: (report: ErrorReport) => void) {
    this.#serializer = serializer;
    this.#seal = seal;
    this.#runner = runner;
    this.#tell = tell;
  }

  async run(
    queue: string,
    tasks: readonly TaskDefinition[],
    jobs: readonly ReceivedJob[],
  ): Promise<readonly Outcome[]> {
    const dispatched = jobs.map((job) => this.#dispatch(queue, tasks, job));
    const runnable = dispatched.filter(({ outcome }) => outcome === undefined);
    // A batch runs in one context, so jobs of two are two batches.
    const calls = Map.groupBy(runnable, ({ task, job, data }) =>
      task!.isBatch ? JSON.stringify(metadataOf(data)?.context) : job.id,
    );
    for (const own of calls.values()) {
      const outcomes = await this.#runner.run(own[0]!.task!, own);
      for (const [index, item] of own.entries()) item.outcome = outcomes[index];
    }
    for (const item of dispatched) this.#report(queue, tasks, item);
    return dispatched.map(({ outcome }) => outcome!);
  }

  #dispatch(queue: string, tasks: readonly TaskDefinition[], job: ReceivedJob): Dispatched {
    let data: unknown;
    try {
      data = this.#seal.openJob(job.data, { queue, name: job.name });
    } catch (error) {
      return { job, data: undefined, task: undefined, outcome: unreadable(error, false) };
    }
    const task = taskOf(queue, tasks, data);
    if (task !== undefined) return { job, data, task, outcome: undefined };
    const unknown = ByReferenceError.unknownTask(queue, metadataOf(data)?.name);
    return { job, data, task, outcome: unreadable(unknown, false) };
  }

  #report(queue: string, tasks: readonly TaskDefinition[], { job, data, task, outcome }: Dispatched): void {
    if (outcome === undefined || outcome.status === 'completed') return;
    const { limit } = (task ?? tasks[0]!).queue.retries;
    this.#tell({
      task: task?.name ?? metadataOf(data)?.name,
      queue,
      id: job.id,
      attempt: job.attempt,
      final: outcome.status === 'discard' || job.attempt > limit,
      tokens: this.tokensOf(data),
      error: outcome.cause,
    });
  }

  /** None of a job that nobody could open: what it says is not believed. */
  tokensOf(data: unknown): readonly EntityToken[] {
    const tokens = data === undefined ? [] : this.#serializer.inspect(data).tokens;
    return [...new Map(tokens.map(({ token }) => [token.toString(), token])).values()];
  }
}

/** A queue may serve several tasks: the job says which. One of another producer is that of the only task. */
export function taskOf(queue: string, tasks: readonly TaskDefinition[], data: unknown): TaskDefinition | undefined {
  const name = metadataOf(data)?.name;
  const named = tasks.find((definition) => definition.name === (name ?? queue));
  return named ?? (name === undefined && tasks.length === 1 ? tasks[0] : undefined);
}
