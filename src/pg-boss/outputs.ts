import { isDeepStrictEqual } from 'node:util';
import { ByReferenceError } from '../errors.ts';
import type { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { JobFailure, Outcome } from '../tasks/engine.ts';
import { describe } from '../tasks/outcome.ts';
import type { JobId } from '../tasks/seal.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { BossResult } from './boss-like.ts';
import type { Methods } from './methods.ts';

/** What jobs leave, by reference: by `complete` and `fail`, and by what a worker's handler returns. */
export class Outputs {
  readonly methods: Methods;
  readonly #codec: AdapterCodec;

  constructor(boss: Methods, codec: AdapterCodec) {
    this.#codec = codec;
    this.methods = {
      complete: async (name, jobs, output, ...rest) =>
        boss['complete']!(
          name,
          jobs,
          this.#given(output, () => this.#result(output, onlyOne(name, jobs))),
          ...rest,
        ),
      fail: async (name, jobs, output, ...rest) =>
        boss['fail']!(
          name,
          jobs,
          this.#given(output, () => this.#failure(output, onlyOne(name, jobs))),
          ...rest,
        ),
    };
  }

  /** As pg-boss has it: one result for a single job, and for each its own with `perJobResults`. */
  outcome(job: JobId, returned: unknown, isPerJob: boolean, count: number): Outcome {
    if (!isPerJob) return this.#codec.kept(count === 1 ? returned : undefined, job);
    const own = Array.isArray(returned) ? (returned as BossResult[]).find(({ id }) => id === job.id) : undefined;
    if (own?.status === 'completed') return this.#codec.kept(own.output, job);
    const status = own?.status === 'deadletter' ? 'discard' : 'retry';
    const { output = new Error('no disposition returned by handler') } = own ?? {};
    try {
      return { status, error: this.#failure(output, () => job) as JobFailure, cause: output };
    } catch (error) {
      return { status, error: describe(error), cause: error };
    }
  }

  /** Nothing is nothing, and pg-boss takes a function for an argument that was left out. */
  #given(output: unknown, encode: () => object): unknown {
    const isNothing = output === undefined || output === null || typeof output === 'function';
    return isNothing || !this.#codec.isEncoding ? output : encode();
  }

  #result(output: unknown, jobOf: () => JobId): object {
    const envelope = this.#codec.encode(output);
    return this.#codec.seal.isOn ? this.#codec.seal.closeResult(envelope, jobOf()) : envelope;
  }

  /** An error says no rows, and what plain JSON says of a failure stays plain JSON. */
  #failure(output: unknown, jobOf: () => JobId): object {
    if (output instanceof Error) return describe(output);
    const { data } = this.#codec.encode(output) as { readonly data: object };
    return isDeepStrictEqual(data, output) && !isEnvelope(output) ? data : this.#result(output, jobOf);
  }
}

/** The job that an output is of. A signed one is that of a single job. Throws E_UNSUPPORTED. */
const onlyOne = (queue: unknown, jobs: unknown) => (): JobId => {
  const list = [jobs].flat() as (string | { readonly id: string })[];
  const [job] = list;
  if (list.length === 1) return { queue: queue as string, id: typeof job === 'string' ? job : job!.id };
  throw ByReferenceError.unsupported('One signed output of several jobs', 'complete or fail them one by one');
};
