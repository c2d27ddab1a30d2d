#!/usr/bin/env node
import { Console } from 'node:console';
import { clipped, printable } from '../text.ts';
import { run } from './run.ts';

// What the application's configuration has to say must not get between the lines of the report.
globalThis.console = new Console(process.stderr, process.stderr);
// Nor what it leaves behind end the command before the tokens are printed.
process.on('unhandledRejection', (reason) => console.error(`byref: ${printable(clipped(String(reason), 2_000))}`));

const { output, errors = '', exitCode } = await run(process.argv.slice(2), process);
process.stderr.write(errors);
// Not when nothing is left to do: the application's modules may have opened connections. A reader that has seen enough
// (`| head`) is no error.
process.stdout.write(output, () => process.exit(exitCode));
