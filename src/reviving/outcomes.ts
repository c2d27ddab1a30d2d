import { ByReferenceError } from '../errors.ts';

/** What a payload has come to: its value, or why it can't be read. */
export type Outcome<T> = PromiseSettledResult<T>;

/** The value of an outcome. Throws its reason. */
export function valueOf<T>(outcome: Outcome<T>): T {
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}

/** Runs stages on each payload. What they throw is that payload's outcome. */
export function each<In, Out>(inputs: readonly In[], stages: (input: In) => Out): Outcome<Out>[] {
  return inputs.map((input) => {
    try {
      return { status: 'fulfilled', value: stages(input) };
    } catch (error) {
      return refused(error);
    }
  });
}

/** The outcome of a payload that a stage has refused. An error of the caller's options is none: it is thrown on. */
export function refused(reason: unknown): PromiseRejectedResult {
  if (isOfOptions(reason)) throw reason;
  return { status: 'rejected', reason };
}

/** One with a path is about what the payload has there. */
const isOfOptions = (error: unknown): boolean =>
  error instanceof ByReferenceError &&
  (error.code === 'E_INVALID_OPTION' || error.code === 'E_UNSUPPORTED') &&
  error.path === undefined;
