import { setTimeout as sleep } from 'node:timers/promises';

/** How often an engine is looked at; each look waits twice as long, 10 s in all. */
const LOOKS = 10;

/**
 * Changes a job once its engine has written what became of it, which it does after its worker has answered: `change`
 * resolves with whether it had. Where that does not come to pass, the engine's own settings apply.
 */
export async function onceWritten(change: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < LOOKS; look++) {
    await sleep(10 * 2 ** look);
    if (await change()) return;
  }
}
