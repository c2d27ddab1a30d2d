import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../../entity-serializer.ts';
import { ByReferenceError } from '../../errors.ts';
import type { StoredJob } from '../../tasks/engine.ts';
import { taskOf } from '../../tasks/job-dispatcher.ts';
import { metadataOf } from '../../tasks/job-metadata.ts';
import { isPlain } from '../../tasks/outcome.ts';
import type { TaskDefinition } from '../../tasks/task-definition.ts';
import type { TasksInsides } from '../../tasks/tasks.ts';
import { isEnvelope, wrap } from '../../wire/envelope.ts';
import type { JsonValue } from '../../wire/json.ts';
import { EntityToken } from '../../wire/token.ts';

/** What a look at one job has found. */
export interface Found {
  readonly job: StoredJob;
  /** What its task is called, as far as anybody can tell. */
  readonly task: string | undefined;
  /** Undefined where it can be run. */
  readonly problem: Problem | undefined;
}

export interface Problem {
  readonly kind: string;
  readonly message: string;
}

/** A job whose task is known, and what it is to be read by. */
interface Opened {
  readonly job: StoredJob;
  readonly task: TaskDefinition;
  readonly data: unknown;
  readonly tasks: TasksInsides;
}

/** Looks at jobs by the code of this program, which runs nothing of it. */
export class Look {
  readonly #serializer: EntitySerializer;
  readonly #tasks: readonly TasksInsides[];
  readonly #rows: boolean;

  constructor(serializer: EntitySerializer, tasks: readonly TasksInsides[], rows: boolean) {
    this.#serializer = serializer;
    this.#tasks = tasks;
    this.#rows = rows;
  }

  /** What is found, in the order of the jobs. */
  async at(jobs: readonly StoredJob[], em: EntityManager): Promise<readonly Found[]> {
    const found = new Map<StoredJob, Found>();
    const opened = jobs.flatMap((job) => {
      const result = this.#open(job);
      if ('tasks' in result) return [result];
      found.set(job, result);
      return [];
    });
    const tokens = new Map<Opened, readonly EntityToken[]>();
    for (const [task, own] of Map.groupBy(opened, (each) => each.task)) {
      // `lockMode` is for the transaction that a job runs in.
      const { lockMode: _lockMode, ...revive } = task.revive;
      const read = own.filter(({ data, tasks }) => !isPlain(data, tasks.seal.plain, revive));
      const options = { ...revive, signed: false, em } as const;
      const outcomes = await this.#serializer.checkAll(
        read.map(({ data }) => data),
        options,
      );
      for (const [index, outcome] of outcomes.entries()) {
        const each = read[index]!;
        if (outcome.status === 'fulfilled') tokens.set(each, outcome.value);
        else found.set(each.job, { job: each.job, task: task.name, problem: problemOf(outcome.reason) });
      }
    }
    const gone = this.#rows ? await this.#gone([...tokens.values()].flat(), em) : new Set<string>();
    for (const [{ job, task }, own] of tokens) {
      const missing = own.find((token) => gone.has(rowOf(token)));
      if (missing === undefined || (task.revive.missing ?? 'throw') !== 'throw') continue;
      const problem = {
        kind: 'row is gone',
        message: `there is no ${missing.model} ${JSON.stringify(missing.toBody()[1])}`,
      };
      found.set(job, { job, task: task.name, problem });
    }
    const byJob = new Map(opened.map((each) => [each.job, each]));
    return jobs.map((job) => found.get(job) ?? { job, task: byJob.get(job)?.task.name, problem: undefined });
  }

  #open(job: StoredJob): Opened | Found {
    const { queue, name, data } = job;
    const tasks = this.#tasks.find(({ definitions }) => definitions.some((each) => each.queue.name === queue));
    const said = metadataOf(data)?.name;
    if (tasks === undefined) {
      // Of another program, or of the engine itself.
      const problem = isEnvelope(data)
        ? { kind: 'unknown task', message: `no task takes the queue "${queue}"` }
        : undefined;
      return { job, task: said, problem };
    }
    try {
      const opened = tasks.seal.openJob(data, { queue, ...(name !== undefined && { name }) });
      const own = tasks.definitions.filter((each) => each.queue.name === queue);
      const task = taskOf(queue, own, opened);
      if (task !== undefined) return { job, task, data: opened, tasks };
      const message = `the queue "${queue}" has no task ${JSON.stringify(said ?? null)}`;
      return { job, task: said, problem: { kind: 'unknown task', message } };
    } catch (error) {
      return { job, task: said, problem: problemOf(error) };
    }
  }

  /** The rows that there are not: one query per model. */
  async #gone(tokens: readonly EntityToken[], em: EntityManager): Promise<ReadonlySet<string>> {
    const distinct = [...new Map(tokens.map((token) => [rowOf(token), withoutVersion(token)])).values()];
    const read = (payloads: readonly JsonValue[]): Promise<PromiseSettledResult<unknown>[]> =>
      this.#serializer.decodeAll(
        payloads.map((payload) => wrap(payload)),
        {
          // Not in the transaction: a key that the database refuses would end it.
          em: em.fork(),
          missing: 'null',
          filters: false,
          signed: false,
          populate: Object.fromEntries(this.#serializer.registry.names.map((name) => [name, []])),
          limits: { tokens: Number.MAX_SAFE_INTEGER, nodes: Number.MAX_SAFE_INTEGER },
        },
      );
    const bodies = distinct.map((token) => ({ $entity: token.toBody() }));
    const [together] = await read([bodies]);
    // One that the database refuses spoils all of one payload.
    const rows =
      together!.status === 'fulfilled'
        ? (together!.value as readonly unknown[])
        : (await read(bodies)).map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined));
    return new Set(distinct.filter((_, index) => rows[index] === null).map(rowOf));
  }
}

const withoutVersion = ({ model, primaryKey, schema }: EntityToken): EntityToken =>
  new EntityToken(model, primaryKey, { schema });

const rowOf = (token: EntityToken): string => withoutVersion(token).toString();

/** An error of the payload, in a word. Throws what is none. */
function problemOf(error: unknown): Problem {
  if (!(error instanceof ByReferenceError)) throw error;
  return { kind: KINDS[error.code as keyof typeof KINDS] ?? error.code, message: error.message };
}

const KINDS = {
  E_UNKNOWN_MODEL: 'unknown model',
  E_UNKNOWN_VALUE: 'unknown value object',
  E_MODEL_NOT_ALLOWED: 'model not allowed',
  E_MALFORMED: 'shape or key',
  E_BAD_SIGNATURE: 'signature',
  E_EXPIRED: 'expired',
  E_UNSUPPORTED_VERSION: 'newer format',
} as const;
