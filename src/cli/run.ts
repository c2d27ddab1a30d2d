import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { clipped, printable } from '../text.ts';
import { HELP, readArguments, UsageError } from './arguments.ts';
import { type CommandResult, inspectCommand } from './inspect-command.ts';

/** What the command takes from the process that it is called in, besides its working directory. */
export interface CommandIo {
  readonly stdin: Readable;
  /** Told how far it has come, where it takes its time and somebody looks on. */
  readonly progress?: (text: string) => void;
}

/** `byref` itself, without the process around it: it prints nothing and ends nothing. */
export async function run(argv: readonly string[], io: CommandIo): Promise<CommandResult> {
  const { errors, ...result } = await runCommand(argv, io);
  return errors === undefined ? result : { ...result, errors: `byref: ${printable(clipped(errors, 2_000))}\n` };
}

async function runCommand(argv: readonly string[], { stdin, progress }: CommandIo): Promise<CommandResult> {
  try {
    const options = readArguments(argv);
    if (options === 'help') return { output: HELP, exitCode: 0 };
    if (options === 'version') return { output: `${packageVersion()}\n`, exitCode: 0 };
    if (options.command === 'inspect') return await inspectCommand(options, stdin);
    // Imported only where MikroORM is needed.
    if (options.command === 'audit') {
      const { auditCommand } = await import('./audit-command.ts');
      return await auditCommand(options, progress);
    }
    if (options.command === 'requeue') {
      const { requeueCommand } = await import('./requeue-command.ts');
      return await requeueCommand(options, progress);
    }
    const { manifestCommand } = await import('./manifest-command.ts');
    return await manifestCommand(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { output: '', errors: `${error.message} (see byref --help)`, exitCode: 2 };
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
