#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { HELP, readArguments, UsageError } from './arguments.ts';
import { type CommandResult, inspectCommand } from './inspect-command.ts';
import { printable } from './printable.ts';

async function run(argv: readonly string[]): Promise<CommandResult> {
  try {
    const options = readArguments(argv);
    if (options === 'help') return { output: HELP, exitCode: 0 };
    if (options === 'version') return { output: `${packageVersion()}\n`, exitCode: 0 };
    return await inspectCommand(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { output: '', errors: `${error.message} (see byref --help)`, exitCode: 2 };
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const { output, errors, exitCode } = await run(process.argv.slice(2));
if (errors !== undefined) console.error(`byref: ${printable(errors)}`);
// Not when nothing is left to do: the application's modules may have opened connections. A reader that has seen enough
// (`| head`) is no error.
process.stdout.write(output, () => process.exit(exitCode));
