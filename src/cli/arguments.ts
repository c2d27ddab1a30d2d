import { parseArgs } from 'node:util';

export const HELP = `Usage:
  byref inspect <payload | file | -> [--config [path]] [--schema name] [--no-filters] [--json]
  byref manifest [--check] [--config path]
  byref audit [--rows] [--sample n] [--json] [--config path]
  byref requeue [task…] [--dry-run] [--json] [--config path]

byref inspect prints what a payload of mikro-orm-byref holds: its tokens, its tags, what its signature
says (it is not verified: there are no keys here), and what is wrong with it. Needs no database.

  payload            JSON, or a token as text, signed or not
  file               the name of a file with the same
  -                  standard input

Payloads are found at any depth, so a whole job will do; JSON inside a string is looked into, and
there may be one JSON value per line.

  --config [path]    print the rows behind the tokens as they are now, too. The configuration is
                     that of MikroORM's own command, which must be installed: @mikro-orm/cli
  --schema <name>    with --config: the schema of models that live in many
  --no-filters       with --config: see rows that the application's default filters hide
  --json             print JSON

  Exit codes: 0 where every payload can be read and, with --config, every row is there; 1 where one
  has a problem or a row is missing; 2 for wrong usage, or a configuration or a database that failed:
  the tokens are printed all the same.

byref manifest writes byref.manifest.json: the names and shapes that stored payloads hold on to. It
opens no connection. What the application is, the default export of byref.config.{ts,mts,js,mjs}
says: { orm, serializer, tasks }; without it there are the models of MikroORM's own configuration.

  --check            write nothing: say what a change would break that may be stored
  --config <path>    another file than byref.config.*

  Exit codes: 0; 1 where --check finds what would break; 2 for wrong usage, or a configuration that
  failed.

byref audit reads what the engines of the application's tasks have stored, and says what of it this
code could not run: jobs that wait, are delayed, under way or failed, and schedules. It runs nothing,
writes nothing, and prints no data. Needs byref.config.*, the database and the engine's store.

  --rows             look for the rows as well, past all filters: one query per model for 1,000 jobs
  --sample <n>       name so many jobs of each problem; 3 unless given
  --json             print JSON
  --config <path>    another file than byref.config.*

  Exit codes: 0 where all can be run; 1 where some can't; 2 for wrong usage, or a configuration or a
  server that failed.

byref requeue puts jobs back into their queues that were discarded because no code could read them,
and that this code can read. Jobs that failed in their handler, or for a row, stay as they are. Needs
what byref audit needs.

  <task…>            of these tasks only
  --dry-run          say which, and change nothing
  --json             print JSON
  --config <path>    another file than byref.config.*

  Exit codes: 0; 1 where this code can't read all of them either; 2 for wrong usage, or a configuration
  or a server that failed.

  -h, --help         print this
  -v, --version      print the version
`;

/** The command was called in a way it does not know. */
export class UsageError extends Error {}

export interface InspectOptions {
  readonly command: 'inspect';
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

export interface ManifestOptions {
  readonly command: 'manifest';
  readonly check: boolean;
  /** Unset where it is to be found. */
  readonly config: string | undefined;
}

export interface AuditOptions {
  readonly command: 'audit';
  /** Whether rows are looked for. */
  readonly rows: boolean;
  /** How many jobs of each problem are named. */
  readonly sample: number;
  readonly json: boolean;
  /** Unset where it is to be found. */
  readonly config: string | undefined;
}

export interface RequeueOptions {
  readonly command: 'requeue';
  /** Names of tasks; none for all. */
  readonly tasks: readonly string[];
  readonly dryRun: boolean;
  readonly json: boolean;
  /** Unset where it is to be found. */
  readonly config: string | undefined;
}

/** What one call asks for. */
export type CommandOptions = InspectOptions | ManifestOptions | AuditOptions | RequeueOptions;

/** What the arguments ask for. Throws UsageError. */
export function readArguments(argv: readonly string[]): CommandOptions | 'help' | 'version' {
  const { values, positionals } = parsed(argv);
  if (values.help === true) return 'help';
  if (values.version === true) return 'version';
  const [command, ...inputs] = positionals;
  const read = COMMANDS[command as keyof typeof COMMANDS];
  if (read === undefined) {
    throw new UsageError(command === undefined ? 'no command given' : `no such command: ${command}`);
  }
  return read(values, inputs);
}

type Values = ReturnType<typeof parsed>['values'];

const COMMANDS = { inspect: readInspect, manifest: readManifest, audit: readAudit, requeue: readRequeue };

function readInspect(values: Values, [input, ...others]: readonly string[]): InspectOptions {
  const { config, schema, json = false, 'no-filters': noFilters, ...foreign } = values;
  refuseOptions('inspect', foreign);
  if (input === undefined) throw new UsageError('nothing to inspect: expected a payload, the name of a file, or -');
  if (others.length > 0) throw new UsageError(`one payload at a time, or quote it: ${others[0]}`);
  return { command: 'inspect', input, config, schema, json, filters: noFilters !== true };
}

function readManifest(values: Values, inputs: readonly string[]): ManifestOptions {
  const { check = false, config, ...foreign } = values;
  refuseOptions('manifest', foreign);
  refuseInputs('manifest', inputs);
  return { command: 'manifest', check, config: pathOf('manifest', config) };
}

function readAudit(values: Values, inputs: readonly string[]): AuditOptions {
  const { rows = false, sample = '3', json = false, config, ...foreign } = values;
  refuseOptions('audit', foreign);
  refuseInputs('audit', inputs);
  if (!/^\d{1,6}$/.test(sample)) throw new UsageError(`--sample takes a number, not ${sample}`);
  return { command: 'audit', rows, sample: Number(sample), json, config: pathOf('audit', config) };
}

function readRequeue(values: Values, tasks: readonly string[]): RequeueOptions {
  const { 'dry-run': dryRun = false, json = false, config, ...foreign } = values;
  refuseOptions('requeue', foreign);
  return { command: 'requeue', tasks, dryRun, json, config: pathOf('requeue', config) };
}

function refuseInputs(command: string, [input]: readonly string[]): void {
  if (input !== undefined) throw new UsageError(`byref ${command} takes no ${input}`);
}

function pathOf(command: string, config: string | undefined): string | undefined {
  if (config === '') throw new UsageError(`--config of byref ${command} needs the path of a script`);
  return config;
}

function refuseOptions(command: string, foreign: object): void {
  const [name] = Object.keys(foreign);
  if (name !== undefined) throw new UsageError(`byref ${command} has no option --${name}`);
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: withPaths(argv),
      allowPositionals: true,
      options: {
        check: { type: 'boolean' },
        rows: { type: 'boolean' },
        sample: { type: 'string' },
        'dry-run': { type: 'boolean' },
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
