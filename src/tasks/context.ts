import type { EntityManager } from '@mikro-orm/core';
import { type Check, isFunction } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { Outcome } from '../reviving/outcomes.ts';
import { isEnvelope, wrap } from '../wire/envelope.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import type { TaskContext } from './tasks.ts';

export const aContext: Check = [
  '{ capture, run }',
  (value) => isFunction((value as Partial<TaskContext> | null)?.capture) && isFunction((value as TaskContext).run),
];

/** What the option `context` puts beside a job's data: written and read as data is, and given to `run` around the job. */
export class CapturedContext {
  readonly #serializer: EntitySerializer;
  readonly #context: TaskContext | undefined;

  constructor(serializer: EntitySerializer, context: TaskContext | undefined) {
    this.#serializer = serializer;
    this.#context = context;
  }

  get isOn(): boolean {
    return this.#context !== undefined;
  }

  /** Its member of a new job's envelope; none without the option. Throws as `serialize`. */
  capture(): JsonObject {
    const captured: unknown = this.#context?.capture();
    return captured === undefined ? {} : { context: this.#serializer.encode(captured, { sign: false })['data']! };
  }

  /** The same of a job that is there. */
  of(opened: unknown): JsonObject {
    const context = this.isOn && isEnvelope(opened) ? opened['context'] : undefined;
    return context === undefined ? {} : { context };
  }

  /**
   * What was captured for a job, undefined for one of another producer, or why it can't be read. Its rows are read
   * without filters, whose parameters it may hold.
   */
  async read(opened: unknown): Promise<Outcome<unknown>> {
    const { context } = this.of(opened);
    if (context === undefined) return { status: 'fulfilled', value: undefined };
    return (await this.#serializer.decodeAll([wrap(context)], { signed: false, filters: false }))[0]!;
  }

  /** Runs `work` inside `run`, which can fail it but not make its failure a success. */
  async run<Result>(context: unknown, em: EntityManager, work: () => Promise<Result>): Promise<Result> {
    if (this.#context === undefined) return work();
    let running: Promise<Result> | undefined;
    await this.#context.run(context as JsonValue | undefined, em, async () => {
      await (running ??= work());
    });
    if (running === undefined) throw new Error('The job was not run: context.run() did not call next().');
    return running;
  }
}
