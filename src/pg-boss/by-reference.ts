import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { AdapterOptions } from '../tasks/adapter-options.ts';
import type { JobFailure, Outcome } from '../tasks/engine.ts';
import { describe, retry } from '../tasks/outcome.ts';
import type { JobId } from '../tasks/seal.ts';
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
  readonly name?: string;
  readonly data?: unknown;
}

/** Where a job is sent to: a queue, or the queues that are subscribed to an event. */
type Target = { readonly queue: string } | { readonly event: string };

class Adapter {
  /** pg-boss's methods that carry data, by the place of it among their arguments. */
  readonly methods: Readonly<Record<string, Method>>;
  readonly #boss: Readonly<Record<string, Method>>;
  readonly #codec: AdapterCodec;
  /** The events that queues were subscribed to here. What the database says of them anybody may have written there. */
  readonly #events = new Map<string, Set<string>>();

  constructor(boss: Record<string, Method>, codec: AdapterCodec) {
    this.#boss = boss;
    this.#codec = codec;
    const second = ['send', 'sendAfter', 'sendThrottled', 'sendDebounced', 'update', 'upsert'];
    this.methods = {
      ...Object.fromEntries(second.map((name) => [name, this.#producer(name, 1)])),
      schedule: this.#producer('schedule', 2),
      publish: this.#producer('publish', 1, (event) => ({ event })),
      subscribe: async (event, name) => {
        await this.#boss['subscribe']!(event, name);
        this.#eventsOf(name as string).add(event as string);
      },
      unsubscribe: async (event, name) => {
        await this.#boss['unsubscribe']!(event, name);
        this.#eventsOf(name as string).delete(event as string);
      },
      insert: async (name, jobs, ...rest) =>
        this.#boss['insert']!(
          name,
          this.#encodeEach(jobs, () => ({ queue: name as string })),
          ...rest,
        ),
      flow: async (jobs, ...rest) =>
        this.#boss['flow']!(
          this.#encodeEach(jobs, (job) => ({ queue: job.name! })),
          ...rest,
        ),
      work: async (name, ...args) => this.#work(name as string, args),
    };
  }

  #producer(name: string, place: number, targetOf = (queue: string): Target => ({ queue })): Method {
    return async (...args) => {
      const [first] = args;
      if (isRequest(first)) {
        const target = targetOf(first.name!);
        return this.#boss[name]!(this.#keepsData(name, first.data) ? first : this.#encodeData(first, target));
      }
      const given: unknown[] = [...args];
      if (!this.#keepsData(name, given[place])) given[place] = this.#encode(given[place], targetOf(first as string));
      return this.#boss[name]!(...given);
    };
  }

  /** An update without data leaves that of the job. Throws E_INVALID_OPTION where it may insert one that is not signed. */
  #keepsData(method: string, data: unknown): boolean {
    if (data !== undefined || (method !== 'update' && method !== 'upsert')) return false;
    if (method === 'update' || !this.#codec.seal.isOn) return true;
    throw ByReferenceError.invalidOption('data of upsert()', 'null or any value, where jobs are signed', data);
  }

  #encodeEach(jobs: unknown, targetOf: (job: WithData) => Target): unknown {
    return Array.isArray(jobs) ? (jobs as WithData[]).map((job) => this.#encodeData(job, targetOf(job))) : jobs;
  }

  #encodeData(job: WithData, target: Target): object {
    const data = this.#encode(job.data, target);
    return data === job.data ? job : { ...job, data };
  }

  /** Nothing is nothing, but for a job that has to be signed. */
  #encode(data: unknown, target: Target): unknown {
    const { seal, isEncoding } = this.#codec;
    if (!isEncoding || ((data === undefined || data === null) && !seal.isOn)) return data;
    return seal.close(this.#codec.encode(data ?? null), 'job', target);
  }

  #eventsOf(queue: string): Set<string> {
    const events = this.#events.get(queue) ?? new Set();
    this.#events.set(queue, events);
    return events;
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
      const outcomes = await this.#run(name, jobs, handler, options.perJobResults ?? false);
      return jobs.map((job, index) => resultOf(job, outcomes[index]!));
    });
  }

  /** One outcome for each job: those that can't be read have theirs, the others what the handler makes of them. */
  #run(queue: string, jobs: readonly BossJob[], handler: Handler, isPerJob: boolean): Promise<Outcome[]> {
    return runInRequest(globalManagers(this.#codec.serializer), async (em) => {
      const outcomes = new Map<string, Outcome>();
      const live: BossJob[] = [];
      try {
        const open = ({ data }: BossJob): unknown => this.#codec.seal.openJob(data, { queue }, this.#eventsOf(queue));
        const read = await this.#codec.read(jobs, open, em);
        for (const [index, job] of jobs.entries()) {
          const result = read[index]!;
          if (result.status === 'fulfilled') live.push({ ...job, data: result.value });
          else outcomes.set(job.id, this.#codec.unreadable(job.createdOn ?? new Date(), result.reason));
        }
        const returned = live.length === 0 ? undefined : await handler(live);
        for (const job of live)
          outcomes.set(job.id, this.#outcome({ queue, id: job.id }, returned, isPerJob, live.length));
      } catch (error) {
        for (const job of jobs) if (!outcomes.has(job.id)) outcomes.set(job.id, retry(error));
      }
      return jobs.map((job) => outcomes.get(job.id)!);
    });
  }

  /** As pg-boss has it: one result for a single job, and for each its own with `perJobResults`. */
  #outcome(job: JobId, returned: unknown, isPerJob: boolean, count: number): Outcome {
    if (!isPerJob) return this.#codec.kept(count === 1 ? returned : undefined, job);
    const own = Array.isArray(returned) ? (returned as BossResult[]).find(({ id }) => id === job.id) : undefined;
    if (own?.status === 'completed') return this.#codec.kept(own.output, job);
    const status = own?.status === 'deadletter' ? 'discard' : 'retry';
    const { output = new Error('no disposition returned by handler') } = own ?? {};
    return { status, error: isJsonObject(output) ? (output as JobFailure) : describe(output), cause: output };
  }
}

const isRequest = (value: unknown): value is WithData => typeof value === 'object' && value !== null;
