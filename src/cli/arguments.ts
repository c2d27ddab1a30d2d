import { parseArgs } from 'node:util';

export const HELP = `Usage: byref inspect <payload | file | -> [options]

Prints what a payload of mikro-orm-byref holds: its tokens, its tags, what its signature says (it is
not verified: there are no keys here), and what is wrong with it. Needs no database.

  payload            JSON, or a token as text, signed or not
  file               the name of a file with the same
  -                  standard input

Payloads are found at any depth, so a whole job will do; JSON inside a string is looked into, and
there may be one JSON value per line.

Options:
  --config [path]    print the rows behind the tokens as they are now, too. The configuration is
                     that of MikroORM's own command, which must be installed: @mikro-orm/cli
  --schema <name>    with --config: the schema of models that live in many
  --no-filters       with --config: see rows that the application's default filters hide
  --json             print JSON
  -h, --help         print this
  -v, --version      print the version

Exit codes:
  0  every payload can be read; with --config, every row is there
  1  a payload has a problem, or a row is missing
  2  wrong usage, or the configuration or the database failed; the tokens are printed all the same
`;

/** The command was called in a way it does not know. */
export class UsageError extends Error {}

export interface InspectOptions {
  /** What to inspect: text, the name of a file, or `-`. */
  readonly input: string;
  /** Set where rows are asked for; the path is empty where the configuration is to be found. */
  readonly config: string | undefined;
  /** Of the EntityManager that reads the rows; unset for its own. */
  readonly schema: string | undefined;
  /** Whether the application's default filters apply. */
  readonly filters: boolean;
  readonly json: boolean;
}

/** What the arguments ask for. Throws UsageError. */
export function readArguments(argv: readonly string[]): InspectOptions | 'help' | 'version' {
  const { values, positionals } = parsed(argv);
  if (values.help === true) return 'help';
  if (values.version === true) return 'version';
  const [command, input, ...others] = positionals;
  if (command !== 'inspect') {
    throw new UsageError(command === undefined ? 'no command given' : `no such command: ${command}`);
  }
  if (input === undefined) throw new UsageError('nothing to inspect: expected a payload, the name of a file, or -');
  if (others.length > 0) throw new UsageError(`one payload at a time, or quote it: ${others[0]}`);
  const { config, schema, json = false } = values;
  return { input, config, schema, json, filters: values['no-filters'] !== true };
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: withPaths(argv),
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        schema: { type: 'string' },
        'no-filters': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** `--config` may stand alone: what follows is its path only where that is a script, or else the payload. */
const withPaths = (argv: readonly string[]): string[] =>
  argv.map((argument, index) =>
    argument === '--config' && !/\.[cm]?[jt]s$/.test(argv[index + 1] ?? '') ? '--config=' : argument,
  );
