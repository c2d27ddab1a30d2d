import { type Application, openApplication } from './application.ts';
import { UsageError } from './arguments.ts';
import type { CommandResult } from './inspect-command.ts';
import { messageOf } from './message.ts';

/** Runs a command about the stored jobs of the application's tasks; `failure` says what could not be done. Throws UsageError. */
export async function jobsCommand(
  config: string | undefined,
  failure: string,
  run: (application: Application) => Promise<CommandResult>,
): Promise<CommandResult> {
  try {
    const application = await openApplication(config);
    if (application.tasks.length === 0)
      throw new UsageError('no tasks: byref.config.* says where jobs are by its tasks');
    return await run(application);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { output: '', errors: `${failure}: ${messageOf(error)}`, exitCode: 2 };
  }
}
