import type { EntityManager } from '@mikro-orm/core';
import type { Check } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { JsonValue } from '../wire/json.ts';

/** What travels with a job beside its arguments: tenant, locale, parameters of filters. */
export interface TaskContext<Captured = unknown> {
  /** Called where a job is enqueued; what it returns goes with the job, encoded as arguments are. */
  capture(): Captured;
  /**
   * Called around the job, before its rows are read, with what was captured, its entities as the rows of now; undefined
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

/** What goes with a job. Throws as `serialize`. */
export function capture(serializer: EntitySerializer, context: TaskContext): JsonValue {
  return serializer.encode(context.capture(), { sign: false })['data'] as JsonValue;
}

/** What a job was enqueued in; undefined where nothing says. Throws as `decode`. */
export const readCaptured = async (
  serializer: EntitySerializer,
  captured: JsonValue | undefined,
  em: EntityManager,
): Promise<unknown> =>
  // The parameters of default-on filters are still to be set, by the context itself.
  captured === undefined
    ? undefined
    : serializer.decode({ $byref: 1, data: captured }, { em, signed: false, filters: false });
