import { clipped, printable } from '../text.ts';
import { openApplication } from './application.ts';
import { type AuditOptions, UsageError } from './arguments.ts';
import { type Audit, audit } from './audit/audit.ts';
import type { CommandResult } from './inspect-command.ts';
import { messageOf } from './message.ts';
import { aligned } from './report.ts';

/** `byref audit`. Throws UsageError. */
export async function auditCommand(
  { rows, sample, json, config }: AuditOptions,
  progress: ((text: string) => void) | undefined,
): Promise<CommandResult> {
  try {
    const application = await openApplication(config);
    if (application.tasks.length === 0)
      throw new UsageError('no tasks: byref.config.* says where jobs are by its tasks');
    const result = await audit(application, { rows, sample, progress });
    const exitCode = result.problems.length > 0 ? 1 : 0;
    return { output: json ? jsonOf(result) : textOf(result), exitCode };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { output: '', errors: `What is stored could not be read: ${messageOf(error)}`, exitCode: 2 };
  }
}

const STATES = ['waiting', 'delayed', 'active', 'failed', 'scheduled'] as const;

function textOf({ jobs, tasks, problems }: Audit): string {
  const counts = aligned([
    ['task', 'queue', ...STATES],
    ...tasks.map(({ task, queue, jobs: own }) => [task ?? '-', queue, ...STATES.map((state) => String(own[state]))]),
  ]);
  const lines = [
    ...(tasks.length > 0 ? [...counts, ''] : []),
    ...problems.flatMap(({ task, queue, problem, count, samples }) => [
      `✗ ${count} of ${task === undefined ? `queue ${clipped(queue)}` : `task ${clipped(task)}`}: ${problem}`,
      ...samples.map(({ id, state, message }) => `    ${state} ${clipped(id)}: ${clipped(message, 500)}`),
    ]),
    problems.length === 0
      ? `All ${jobs} stored jobs can be run by this code.`
      : `${problems.reduce((sum, { count }) => sum + count, 0)} of ${jobs} stored jobs can't be run by this code.`,
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

const jsonOf = (result: Audit): string => `${JSON.stringify(result, null, 2).split('\n').map(printable).join('\n')}\n`;
