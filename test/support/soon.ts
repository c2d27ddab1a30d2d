import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for what happens in the background, and no longer. */
export async function soon(isSo: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('it took too long');
    await sleep(2);
  }
}
