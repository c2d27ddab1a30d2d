/** What happens to a payload before the first query takes memory in proportion to its length, whatever is in it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { PAYLOAD_CASES } from '../support/payload-cases.ts';

const script = fileURLToPath(new URL('../support/memory-of-payloads.ts', import.meta.url));

/**
 * Megabytes of heap that are enough for a process that reads each kind of payload, and inspects it. Measured: 40 for
 * 64 kB, of which Node and MikroORM take 35, and between 105 and 120 for 1 MB; `JSON.parse` alone takes 28 for the worst,
 * which is nothing but brackets.
 */
test.each([
  [64_000, 50],
  [1_000_000, 200],
])(
  'payloads of %d bytes fit into %d MB',
  async (bytes, megabytes) => {
    // What survives is in old space at once, so that the bound is one.
    const flags = [`--max-old-space-size=${megabytes}`, '--max-semi-space-size=1'];
    const run = promisify(execFile)(process.execPath, [...flags, script, String(bytes)]);
    const { stdout } = await run.catch((error: { readonly stdout: string }) => error);
    // A process that died says which one it could not read.
    expect(stdout.trim().split('\n')).toEqual(Object.keys(PAYLOAD_CASES));
    await run;
  },
  // A heap that is nearly full is swept all the time, on a busy machine for minutes.
  600_000,
);
