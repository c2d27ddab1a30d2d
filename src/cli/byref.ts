#!/usr/bin/env node
import { Console } from 'node:console';
import { setFlagsFromString } from 'node:v8';
import { clipped, printable } from '../text.ts';
import { run } from './run.ts';

// What is read of a queue is done with at once: room for more of it would be half of the memory that a command takes.
setFlagsFromString('--semi-space-growth-factor=1');
// What the application's configuration has to say must not get between the lines of the report.
globalThis.console = new Console(process.stderr, process.stderr);
// Nor what it leaves behind end the command before the tokens are printed.
process.on('unhandledRejection', (reason) => console.error(`byref: ${printable(clipped(String(reason), 2_000))}`));

// One line that is written over itself.
const progress = (text: string): void => void process.stderr.write(`\r\u001b[K${text}`);
const io = { stdin: process.stdin, ...(process.stderr.isTTY && { progress }) };

const { output, errors = '', exitCode } = await run(process.argv.slice(2), io);
process.stderr.write(errors);
// Not when nothing is left to do: the application's modules may have opened connections. A reader that has seen enough
// (`| head`) is no error.
process.stdout.write(output, () => process.exit(exitCode));
