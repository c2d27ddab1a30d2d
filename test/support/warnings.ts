import { jest } from '@jest/globals';
import { soon } from './soon.ts';

export interface Warning {
  readonly message: string;
  readonly type: string;
  readonly code: string;
}

/**
 * The warnings that a call has the process emit, once there are as many as are waited for; Jest's process is a copy,
 * which is not told of its events.
 */
export async function warningsOf(run: () => unknown, atLeast = 0): Promise<Warning[]> {
  const emitWarning = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  try {
    await run();
    await soon(() => emitWarning.mock.calls.length >= atLeast);
    return emitWarning.mock.calls.map(([message, options]) => ({ message, ...(options as object) }) as Warning);
  } finally {
    emitWarning.mockRestore();
  }
}
