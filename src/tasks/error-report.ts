import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { logError } from '../orm/logger.ts';
import { notify } from '../notify.ts';
import type { EntityToken } from '../wire/token.ts';
import { describe } from './outcome.ts';

/** What went wrong with a job in this process, or with the engine that brings them. */
export interface ErrorReport {
  /** Undefined where no task is known: for what an engine reports of itself, and for a job that nobody could open. */
  readonly task: string | undefined;
  /** The queue's name. */
  readonly queue: string;
  /** Undefined for what an engine reports of itself, as a lost connection. */
  readonly id: string | undefined;
  /** 1 for the first; undefined as `id`, and where an adapter tells of a result. */
  readonly attempt: number | undefined;
  /** The job has failed for good. False also where only its result was lost: it is completed. */
  readonly final: boolean;
  /** The rows that the arguments name, without duplicates. */
  readonly tokens: readonly EntityToken[];
  /** What was thrown. */
  readonly error: unknown;
}

/** Told of what went wrong; what it throws itself is a process warning. */
export type OnError = (report: ErrorReport) => void | Promise<void>;

/** Tells somebody, and never throws: `onError`, else one line of MikroORM's logger. */
export const tellingOf = (
  serializer: EntitySerializer,
  onError: OnError | undefined,
): ((report: ErrorReport) => void) => telling(serializer, onError, lineOf);

/** The same of any report, which `lineOf` makes a line of. */
export function telling<Report>(
  { orm }: EntitySerializer,
  onError: ((report: Report) => void | Promise<void>) | undefined,
  lineOf: (report: Report) => string,
): (report: Report) => void {
  const listener = onError ?? ((report) => logError(orm, lineOf(report)));
  const failed = (error: unknown): void =>
    process.emitWarning(`onError failed: ${describe(error).message}`, 'ByReferenceWarning');
  return (report) => notify(listener, report, failed);
}

/** Says what happened, and of rows no more than their tokens. */
function lineOf({ task, queue, id, attempt, final, tokens, error }: ErrorReport): string {
  const { name, message } = describe(error);
  const what = `${name}: ${message}`;
  if (id === undefined) return `The engine of queue "${queue}" reports ${what}`;
  const job = `Job ${id} of ${task === undefined ? `queue "${queue}"` : `task "${task}"`}`;
  const see = error instanceof ByReferenceError ? ` See ${error.help}` : '';
  const about = tokens.length === 0 ? '' : ` It is about ${listed(tokens)}.`;
  const which = attempt === undefined ? '' : `, attempt ${attempt}`;
  return `${job}${which}${final ? ', failed for good' : ''}: ${what}${about}${see}`;
}

function listed(tokens: readonly EntityToken[]): string {
  const bodies = tokens.slice(0, 5).map((token) => JSON.stringify(token.toBody()));
  return bodies.join(', ') + (tokens.length > bodies.length ? ` and ${tokens.length - bodies.length} more` : '');
}
