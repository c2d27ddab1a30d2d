import type { Readable } from 'node:stream';
import type { EntityToken } from '../wire/token.ts';
import type { InspectOptions } from './arguments.ts';
import { findPayloads, readInput } from './input.ts';
import { messageOf } from './message.ts';
import { openOrm } from './open-orm.ts';
import { type Inspection, jsonReport, textReport } from './report.ts';
import type { RowStates } from './rows.ts';

/** What a command prints, and how it ends. */
export interface CommandResult {
  readonly output: string;
  readonly errors?: string;
  readonly exitCode: 0 | 1 | 2;
}

/** `byref inspect`. Throws UsageError. */
export async function inspectCommand(options: InspectOptions, stdin: Readable): Promise<CommandResult> {
  const { config, json } = options;
  const findings = findPayloads(await readInput(options.input, stdin));
  const tokens = findings.flatMap(({ report }) => report.tokens.map(({ token }) => token));
  const inspection: Inspection = {
    findings,
    ...(config === undefined ? {} : await rowsOrFailure(config, tokens, options)),
  };
  const { failure } = inspection;
  return {
    output: json ? jsonReport(inspection) : textReport(inspection),
    ...(failure !== undefined && { errors: `The rows could not be read: ${failure}` }),
    exitCode: failure !== undefined ? 2 : hasProblem(inspection) ? 1 : 0,
  };
}

const hasProblem = ({ findings, rows }: Inspection): boolean =>
  findings.some(({ report }) => report.problems.length > 0) ||
  Array.from(rows?.values() ?? []).some(({ error }) => error !== undefined);

/** Whatever keeps the rows from being read must not keep the tokens from being printed. */
async function rowsOrFailure(
  config: string,
  tokens: readonly EntityToken[],
  options: InspectOptions,
): Promise<{ readonly rows: RowStates } | { readonly failure: string }> {
  try {
    const orm = await openOrm(config);
    try {
      // Imported only where MikroORM is needed.
      const { readRows } = await import('./rows.ts');
      return { rows: await readRows(orm, tokens, options) };
    } finally {
      await orm.close(true);
    }
  } catch (error) {
    return { failure: messageOf(error) };
  }
}
