import { ByReferenceError } from 'mikro-orm-byref';

/** The ByReferenceError that a call ends with; any other outcome fails the test as what it is. */
export async function failureOf(run: () => unknown): Promise<ByReferenceError> {
  let outcome: unknown;
  try {
    outcome = await run();
  } catch (error) {
    if (error instanceof ByReferenceError) return error;
    throw error;
  }
  throw new Error(`Expected a ByReferenceError, got ${JSON.stringify(outcome)}`);
}
