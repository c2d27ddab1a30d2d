import { ByReferenceError } from '../errors.ts';
import type { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { Method, Methods } from './methods.ts';

/** The data of what `send`, `update` and `upsert` take as one object, and of each item of a list. */
interface WithData {
  readonly name?: string;
  readonly data?: unknown;
}

/** Where a job is sent to: a queue, or the queues that are subscribed to an event. */
type Target = { readonly queue: string } | { readonly event: string };

/** pg-boss's methods that store data for a worker, by reference. */
export class Producer {
  /** By the place of the data among their arguments. */
  readonly methods: Methods;
  readonly #boss: Methods;
  readonly #codec: AdapterCodec;

  constructor(boss: Methods, codec: AdapterCodec) {
    this.#boss = boss;
    this.#codec = codec;
    const second = ['send', 'sendAfter', 'sendThrottled', 'sendDebounced', 'update', 'upsert'];
    this.methods = {
      ...Object.fromEntries(second.map((name) => [name, this.#producer(name, 1)])),
      schedule: this.#producer('schedule', 2),
      publish: this.#producer('publish', 1, (event) => ({ event })),
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

  /** Nothing is nothing, but for a job that has to be signed, or that has a context. */
  #encode(data: unknown, target: Target): unknown {
    const { seal, context, isEncoding } = this.#codec;
    const isNothing = data === undefined || data === null;
    if (!isEncoding || (isNothing && !seal.isOn && !context.isOn)) return data;
    return this.#codec.encodeJob(data ?? null, target);
  }
}

const isRequest = (value: unknown): value is WithData => typeof value === 'object' && value !== null;
