import { jest } from '@jest/globals';

export interface Warning {
  readonly message: string;
  readonly type: string;
  readonly code: string;
}

/** The warnings that a call has the process emit; Jest's process is a copy, which is not told of its events. */
export async function warningsOf(run: () => unknown): Promise<Warning[]> {
  const emitWarning = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  try {
    await run();
    return emitWarning.mock.calls.map(([message, options]) => ({ message, ...(options as object) }) as Warning);
  } finally {
    emitWarning.mockRestore();
  }
}
