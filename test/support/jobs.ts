import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** The name of a queue that no other test has. */
export const queueName = (): string => `queue-${randomUUID()}`;

export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('it took too long');
    await sleep(50);
  }
}
