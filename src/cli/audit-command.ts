import { clipped } from '../text.ts';
import type { AuditOptions } from './arguments.ts';
import { type Audit, audit } from './audit/audit.ts';
import type { CommandResult } from './inspect-command.ts';
import { jobsCommand } from './jobs-command.ts';
import { aligned, printedJson, printedLines } from './report.ts';

/** `byref audit`. Throws UsageError. */
export function auditCommand(
  { rows, sample, json, config }: AuditOptions,
  progress: ((text: string) => void) | undefined,
): Promise<CommandResult> {
  return jobsCommand(config, 'What is stored could not be read', async (application) => {
    const result = await audit(application, { rows, sample, progress });
    const exitCode = result.problems.length > 0 ? 1 : 0;
    return { output: json ? printedJson(result) : textOf(result), exitCode };
  });
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
  return printedLines(lines);
}
