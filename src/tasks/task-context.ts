import type { EntityManager } from '@mikro-orm/core';
import type { Check } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { Outcome } from '../reviving/outcomes.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';

/** What travels with a job beside its arguments: tenant, locale, parameters of filters. */
export interface TaskContext<Captured = unknown> {
  /** Called where a job is enqueued; what it returns goes with the job, encoded as arguments are. */
  capture(): Captured;
  /**
   * Called around the job, before its rows are read, with what was captured, its entities as the current rows; undefined
   * for jobs of other producers.
   */
  run(context: Captured | undefined, em: EntityManager, next: () => Promise<void>): Promise<void>;
}

export const aTaskContext: Check = [
  '{ capture, run }',
  (value) =>
    typeof (value as Partial<TaskContext> | null)?.capture === 'function' &&
    typeof (value as Partial<TaskContext>).run === 'function',
];

/**
 * What goes with a job; nothing of nothing.
 * @throws as `serialize`.
 */
export function capture(serializer: EntitySerializer, context: TaskContext): JsonValue | undefined {
  const captured = context.capture();
  return captured === undefined ? undefined : (serializer.encode(captured, { sign: false })['data'] as JsonValue);
}

/**
 * What a job was enqueued in; undefined where nothing says.
 * @throws as `decode`.
 */
export const readCaptured = async (
  serializer: EntitySerializer,
  captured: JsonValue | undefined,
  em: EntityManager,
): Promise<unknown> =>
  // The parameters of default-on filters are still to be set, by the context itself.
  captured === undefined
    ? undefined
    : serializer.decode({ $byref: 1, data: captured }, { em, signed: false, filters: false });

/** What the option `context` of an adapter puts beside a job's data, and gives to `run` around the job. */
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

  /**
   * Its member of a new job's envelope; none without the option.
   * @throws as `serialize`.
   */
  capture(): JsonObject {
    const context = this.#context && capture(this.#serializer, this.#context);
    return context === undefined ? {} : { context };
  }

  /** The same of a job that is there. */
  of(opened: unknown): JsonObject {
    const context = this.isOn && isEnvelope(opened) ? opened['context'] : undefined;
    return context === undefined ? {} : { context };
  }

  /** What was captured for a job, undefined for one of another producer, or why it can't be read. */
  async read(opened: unknown, em: EntityManager): Promise<Outcome<unknown>> {
    try {
      return { status: 'fulfilled', value: await readCaptured(this.#serializer, this.of(opened)['context'], em) };
    } catch (reason) {
      if (!(reason instanceof ByReferenceError)) throw reason;
      return { status: 'rejected', reason };
    }
  }

  /** Runs `work` inside `run`, which can fail it but not make its failure a success. */
  async run<Result>(context: unknown, em: EntityManager, work: () => Promise<Result>): Promise<Result> {
    if (this.#context === undefined) return work();
    let running: Promise<Result> | undefined;
    await this.#context.run(context, em, async () => {
      await (running ??= work());
    });
    if (running === undefined) throw new Error('The job was not run: context.run() did not call next().');
    return running;
  }
}
