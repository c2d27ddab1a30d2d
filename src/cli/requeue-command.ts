import { printable } from '../text.ts';
import { openApplication } from './application.ts';
import { type RequeueOptions, UsageError } from './arguments.ts';
import type { CommandResult } from './inspect-command.ts';
import { messageOf } from './message.ts';
import { aligned } from './report.ts';
import { requeue, type RequeuedTask } from './requeue.ts';

/** `byref requeue`. Throws UsageError. */
export async function requeueCommand(
  { tasks: names, dryRun, json, config }: RequeueOptions,
  progress: ((text: string) => void) | undefined,
): Promise<CommandResult> {
  try {
    const application = await openApplication(config);
    if (application.tasks.length === 0)
      throw new UsageError('no tasks: byref.config.* says where jobs are by its tasks');
    const tasks = await requeue(application, { names, dryRun, progress });
    const exitCode = tasks.some(({ unreadable }) => unreadable > 0) ? 1 : 0;
    return { output: json ? jsonOf({ dryRun, tasks }) : textOf(tasks, dryRun), exitCode };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { output: '', errors: `The jobs could not be put back: ${messageOf(error)}`, exitCode: 2 };
  }
}

function textOf(tasks: readonly RequeuedTask[], dryRun: boolean): string {
  const counts = aligned([
    ['task', 'queue', 'requeued', 'unreadable', 'left'],
    ...tasks.map(({ task, queue, requeued, unreadable, left }) => [
      task ?? '-',
      queue,
      ...[requeued, unreadable, left].map(String),
    ]),
  ]);
  const sum = (count: 'requeued' | 'unreadable'): number => tasks.reduce((all, task) => all + task[count], 0);
  const lines = [
    ...(tasks.length > 0 ? [...counts, ''] : []),
    `${dryRun ? 'Would be back' : 'Back'} in their queues: ${sum('requeued')}.`,
    ...(sum('unreadable') > 0 ? [`Not readable by this code either: ${sum('unreadable')}; byref audit says why.`] : []),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

const jsonOf = (result: object): string => `${JSON.stringify(result, null, 2).split('\n').map(printable).join('\n')}\n`;
