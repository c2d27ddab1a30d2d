import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { AdapterOptions } from '../tasks/adapter-options.ts';
import type { JobFailure, Outcome } from '../tasks/engine.ts';
import { describe, retry } from '../tasks/outcome.ts';
import { isJsonObject } from '../wire/json.ts';
import type { BossJob, BossResult } from './boss-like.ts';
import { resultOf } from './engine.ts';

type Handler = (jobs: BossJob[]) => Promise<unknown>;

type Method = (...args: unknown[]) => unknown;

/**
 * pg-boss's own API, its data by reference: entities in what is sent travel as tokens, and a worker's jobs hold the
 * rows of now, one query per model for a batch, in an EntityManager and request context of its own. Everything else is
 * the given instance. A missing row dead-letters the job without a retry; data without an envelope is passed on as it
 * is, so that queues can be migrated while they run. Results are kept encoded, `fetch` returns data as it is stored.
 */
export function byReference<Boss extends object>(
  serializer: EntitySerializer,
  boss: Boss,
  options: AdapterOptions = {},
): Boss {
  const adapter = new Adapter(boss as never, new AdapterCodec(serializer, options));
  const proxy: Boss = new Proxy(boss, {
    get(target, name) {
      if (Object.hasOwn(adapter.methods, name)) return adapter.methods[name as string];
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function' || name === 'constructor') return value;
      // start() and on() return the instance they are called on.
      const same = (result: unknown): unknown => (result === target ? proxy : result);
      return (...args: unknown[]): unknown => {
        const result = (value as Method).apply(target, args);
        return result instanceof Promise ? result.then(same) : same(result);
      };
    },
  });
  return proxy;
}

/** The data of what `send`, `update` and `upsert` take as one object, and of each item of a list. */
interface WithData {
  readonly data?: unknown;
}

class Adapter {
  /** pg-boss's methods that carry data, by the place of it among their arguments. */
  readonly methods: Readonly<Record<string, Method>>;
  readonly #boss: Readonly<Record<string, Method>>;
  readonly #codec: AdapterCodec;

  constructor(boss: Record<string, Method>, codec: AdapterCodec) {
    this.#boss = boss;
    this.#codec = codec;
    const second = ['send', 'sendAfter', 'sendThrottled', 'sendDebounced', 'update', 'upsert', 'publish'];
    this.methods = {
      ...Object.fromEntries(second.map((name) => [name, this.#producer(name, 1)])),
      schedule: this.#producer('schedule', 2),
      insert: async (name, jobs, ...rest) => this.#boss['insert']!(name, this.#encodeEach(jobs), ...rest),
      flow: async (jobs, ...rest) => this.#boss['flow']!(this.#encodeEach(jobs), ...rest),
      work: async (name, ...args) => this.#work(name as string, args),
    };
  }

  #producer(name: string, place: number): Method {
    return async (...args) => {
      if (isRequest(args[0])) return this.#boss[name]!(this.#encodeData(args[0]));
      return this.#boss[name]!(...args.map((arg, index) => (index === place ? this.#encode(arg) : arg)));
    };
  }

  #encodeEach(jobs: unknown): unknown {
    return Array.isArray(jobs) ? jobs.map((job) => this.#encodeData(job as WithData)) : jobs;
  }

  #encodeData(job: WithData): object {
    return 'data' in job ? { ...job, data: this.#encode(job.data) } : job;
  }

  #encode(data: unknown): unknown {
    return data === undefined || data === null || !this.#codec.isEncoding ? data : this.#codec.encode(data);
  }

  #work(name: string, args: readonly unknown[]): unknown {
    const handler = args.at(-1) as Handler;
    const options = (args.length > 1 ? args[0] : {}) as { perJobResults?: boolean; transactional?: boolean };
    if (options.transactional === true) {
      throw ByReferenceError.unsupported(
        'A worker of pg-boss with transactional: true',
        'its transaction is none of MikroORM’s; define a task with transactional: true instead',
      );
    }
    const settled = { ...options, perJobResults: true, includeMetadata: true };
    return this.#boss['work']!(name, settled, async (jobs: BossJob[]) => {
      const outcomes = await this.#run(jobs, handler, options.perJobResults ?? false);
      return jobs.map((job, index) => resultOf(job, outcomes[index]!));
    });
  }

  /** One outcome for each job: those that can't be read have theirs, the others what the handler makes of them. */
  #run(jobs: readonly BossJob[], handler: Handler, isPerJob: boolean): Promise<Outcome[]> {
    return runInRequest(globalManagers(this.#codec.serializer), async (em) => {
      const outcomes = new Map<string, Outcome>();
      const live: BossJob[] = [];
      try {
        const read = await this.#codec.read(
          jobs.map(({ data }) => data),
          em,
        );
        for (const [index, job] of jobs.entries()) {
          const result = read[index]!;
          if (result.status === 'fulfilled') live.push({ ...job, data: result.value });
          else outcomes.set(job.id, this.#codec.unreadable(job.createdOn ?? new Date(), result.reason));
        }
        const returned = live.length === 0 ? undefined : await handler(live);
        for (const job of live) outcomes.set(job.id, this.#outcome(job, returned, isPerJob, live.length));
      } catch (error) {
        for (const job of jobs) if (!outcomes.has(job.id)) outcomes.set(job.id, retry(error));
      }
      return jobs.map((job) => outcomes.get(job.id)!);
    });
  }

  /** As pg-boss has it: one result for a single job, and for each its own with `perJobResults`. */
  #outcome(job: BossJob, returned: unknown, isPerJob: boolean, count: number): Outcome {
    if (!isPerJob) return this.#codec.kept(count === 1 ? returned : undefined);
    const own = Array.isArray(returned) ? (returned as BossResult[]).find(({ id }) => id === job.id) : undefined;
    if (own?.status === 'completed') return this.#codec.kept(own.output);
    const status = own?.status === 'deadletter' ? 'discard' : 'retry';
    const { output = new Error('no disposition returned by handler') } = own ?? {};
    return { status, error: isJsonObject(output) ? (output as JobFailure) : describe(output) };
  }
}

const isRequest = (value: unknown): value is WithData => typeof value === 'object' && value !== null;
