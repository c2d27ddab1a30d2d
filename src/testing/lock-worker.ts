import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Locks } from '../locks/locks.ts';

/** What `lockContract` asks of a process of its own; it answers each message with one. */
export type LockCommand =
  | { readonly do: 'count'; readonly key: string; readonly file: string; readonly times: number }
  | { readonly do: 'hold'; readonly key: string }
  | { readonly do: 'token' }
  | { readonly do: 'let go' };

/** Makes this process, which `fork` has made, do what `lockContract` asks of it. Says `ready` when it listens. */
export function lockWorker(locks: Locks): void {
  let letGo = (): void => undefined;
  let token: bigint | undefined;
  const answer = (message: string): void => void process.send!(message);

  async function count(key: string, file: string, times: number): Promise<void> {
    for (let time = 0; time < times; time++) {
      // A second process between reading and writing would lose a count.
      await locks.run(key, async () => {
        const value = Number(await readFile(file, 'utf8'));
        await sleep(Math.random() * 4);
        await writeFile(file, String(value + 1));
      });
    }
    answer('counted');
  }

  async function hold(key: string): Promise<void> {
    const work = locks.run(key, (_, lock) => {
      token = lock.token;
      answer('holding');
      return new Promise<void>((resolve) => (letGo = resolve));
    });
    answer(
      await work.then(
        () => 'succeeded',
        (error: { code?: string }) => error.code ?? String(error),
      ),
    );
  }

  process.on('message', (command: LockCommand) => {
    if (command.do === 'count') void count(command.key, command.file, command.times);
    else if (command.do === 'hold') void hold(command.key);
    else if (command.do === 'token') answer(String(token));
    else letGo();
  });
  process.on('disconnect', () => process.exit());
  answer('ready');
}
