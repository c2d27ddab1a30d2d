import { readFileSync, writeFileSync } from 'node:fs';
import { printable } from '../text.ts';
import { openApplication } from './application.ts';
import { type ManifestOptions, UsageError } from './arguments.ts';
import type { CommandResult } from './inspect-command.ts';
import { type Break, compare, type Comparison } from './manifest/compare.ts';
import { type Manifest, manifestOf } from './manifest/manifest.ts';
import { messageOf } from './message.ts';

const FILE = 'byref.manifest.json';

/** `byref manifest`. Throws UsageError. */
export async function manifestCommand({ check, config }: ManifestOptions): Promise<CommandResult> {
  const before = check ? readManifest() : undefined;
  try {
    const application = await openApplication(config);
    const now = await manifestOf(application);
    if (before === undefined) {
      writeFileSync(FILE, `${JSON.stringify(now, null, 2)}\n`);
      return { output: `${FILE}: ${countsOf(now)}\n`, exitCode: 0 };
    }
    const comparison = compare(before, now, application.serializer);
    return { output: report(comparison), exitCode: comparison.breaks.length > 0 ? 1 : 0 };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { output: '', errors: `The application could not be read: ${messageOf(error)}`, exitCode: 2 };
  }
}

function readManifest(): Manifest {
  let manifest: Partial<Manifest>;
  try {
    manifest = JSON.parse(readFileSync(FILE, 'utf8')) as Partial<Manifest>;
  } catch (cause) {
    throw new UsageError(`no ${FILE} to check against; byref manifest writes one (${messageOf(cause)})`, { cause });
  }
  if (manifest?.byref !== 1) throw new UsageError(`${FILE} was not written by this version of byref`);
  return manifest as Manifest;
}

const countsOf = ({ models, values, tasks }: Manifest): string =>
  [
    counted(Object.keys(models).length, 'model'),
    counted(Object.keys(values).length, 'value object'),
    counted(Object.keys(tasks).length, 'task'),
  ].join(', ');

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function report({ breaks, unchecked, added }: Comparison): string {
  const lines = [
    ...breaks.flatMap(({ subject, problem, advice }: Break) => [`✗ ${subject}: ${problem}`, `    ${advice}`]),
    breaks.length === 0
      ? 'What is stored stays readable.'
      : `${counted(breaks.length, 'change')} would break what is stored.`,
    ...(added.length > 0 ? [`Not in ${FILE} yet: ${added.join(', ')}.`] : []),
    ...(unchecked.length > 0 ? [`Unchecked, for want of \`as\`: task ${unchecked.join(', task ')}.`] : []),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}
