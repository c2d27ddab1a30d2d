import type { RequeueOptions } from './arguments.ts';
import type { CommandResult } from './inspect-command.ts';
import { jobsCommand } from './jobs-command.ts';
import { aligned, printedJson, printedLines } from './report.ts';
import { requeue, type RequeuedTask } from './requeue.ts';

/** `byref requeue`. Throws UsageError. */
export function requeueCommand(
  { tasks: names, dryRun, json, config }: RequeueOptions,
  progress: ((text: string) => void) | undefined,
): Promise<CommandResult> {
  return jobsCommand(config, 'The jobs could not be put back', async (application) => {
    const tasks = await requeue(application, { names, dryRun, progress });
    const exitCode = tasks.some(({ unreadable }) => unreadable > 0) ? 1 : 0;
    return { output: json ? printedJson({ dryRun, tasks }) : textOf(tasks, dryRun), exitCode };
  });
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
  return printedLines(lines);
}
