import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { check, requireSerializer } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { DeserializeOptions } from '../options.ts';
import { guardPools } from '../orm/pool-guard.ts';
import { each } from '../reviving/outcomes.ts';
import type { JsonObject } from '../wire/json.ts';
import { ADAPTER_CHECKS, type AdapterOptions } from './adapter-options.ts';
import { CapturedContext } from './task-context.ts';
import type { Outcome } from './engine.ts';
import { type ErrorReport, tellingOf } from './error-report.ts';
import { readJobs, unreadable } from './outcome.ts';
import { type JobId, Seal } from './seal.ts';

/** The data of jobs, written and read as the options of an adapter say. */
export class AdapterCodec {
  readonly serializer: EntitySerializer;
  readonly seal: Seal;
  readonly context: CapturedContext;
  readonly #options: AdapterOptions;
  readonly #tell: (report: ErrorReport) => void;
  /** Those of them that are about reviving. */
  readonly #revive: DeserializeOptions;

  constructor(serializer: EntitySerializer, options: AdapterOptions) {
    requireSerializer(serializer);
    check(options, ADAPTER_CHECKS, 'option ');
    const { only, missing, populate } = options;
    const revive = Object.entries({ only, missing, populate }).filter(([, value]) => value !== undefined);
    // Signatures are the seal’s.
    this.#revive = { ...Object.fromEntries(revive), signed: false };
    serializer.refuseWrongOptions(this.#revive);
    guardPools(serializer);
    this.serializer = serializer;
    this.seal = new Seal(serializer, options);
    this.context = new CapturedContext(serializer, options.context);
    this.#options = options;
    this.#tell = tellingOf(serializer, undefined);
  }

  /** Whether producers write tokens yet. */
  get isEncoding(): boolean {
    return this.#options.encode !== false;
  }

  /** The data of a job, with what it is and the context that it was made in under its signature. */
  encodeJob(
    value: unknown,
    facts: JsonObject,
    {
      entities,
      context = this.context.capture(),
    }: { entities?: Set<AnyEntity> | undefined; context?: JsonObject } = {},
  ): JsonObject {
    return this.seal.close({ ...this.encode(value, entities), ...context }, 'job', facts);
  }

  /** What looks encoded is data all the same, or a request's body could name rows. */
  encode(value: unknown, entities?: Set<AnyEntity>): JsonObject {
    return this.serializer.encodeTelling(value, { sign: false }, { entity: (entity) => entities?.add(entity) });
  }

  /**
   * What handlers receive of the data that `open` gives for each, one query per model for all. An outcome for each: what
   * `open` throws is one.
   */
  async read<Item>(
    list: readonly Item[],
    open: (item: Item) => unknown,
    em?: EntityManager,
    options: Pick<DeserializeOptions, 'missing'> = {},
  ): Promise<PromiseSettledResult<unknown>[]> {
    const opened = each(list, open);
    const data = opened.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const revive = { ...this.#revive, ...options, ...(em && { em }) };
    const results = (await readJobs(this.serializer, data, this.seal.plain, revive)).values();
    return opened.map((outcome) => (outcome.status === 'fulfilled' ? results.next().value! : outcome));
  }

  /** What becomes of a job that can't be read, after a missing row has been waited for that long. */
  unreadable(error: unknown, waitedMs: number): Outcome {
    return unreadable(error, waitedMs < (this.#options.retryMissingForMs ?? 10_000));
  }

  kept(result: unknown, job: JobId): Outcome {
    const write = (): JsonObject | undefined =>
      result === undefined ? undefined : this.seal.closeResult(this.encode(result), job);
    return { status: 'completed', output: this.resultOr(job, write) };
  }

  /** A result as `write` has it. One that can't be kept is told of, and is none: it undoes no work. */
  resultOr<Result>({ queue, id }: JobId, write: () => Result): Result | undefined {
    try {
      return write();
    } catch (error) {
      this.#tell({ task: undefined, queue, id, attempt: undefined, final: false, tokens: [], error });
      return undefined;
    }
  }
}
