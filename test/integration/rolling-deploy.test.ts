/**
 * A rolling deploy: processes of two releases side by side on the same queues. The earlier one runs on the library of
 * before `byref requeue`, fixtures/earlier-release.json.gz: what `npm pack` packs of commit "Tasks: a failure says whether
 * the job was read, and an unknown task has a code", with nothing but the modules in dist that it runs, text by path.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { until } from '../support/jobs.ts';
import { installInto } from '../support/package.ts';
import type { Kind, Request } from '../support/rolling-deploy/program.ts';

const run = promisify(execFile);
const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const KINDS: readonly Kind[] = [
  'a renamed class',
  'a renamed task',
  'a new property',
  'a new value object',
  'a wider key',
  'a new signing key',
];
const COUNT = 5;

/** Node 22 warns of TypeScript. */
const NODE_OPTIONS = '--disable-warning=ExperimentalWarning';

/** A process of a release. */
class Program {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(folder: string, url: string): Promise<Program> {
    const env = { ...process.env, DATABASE_URL: url, NODE_OPTIONS };
    const program = new Program(fork(join(folder, 'program.ts'), { cwd: folder, env, execArgv: [] }));
    await program.#answer();
    return program;
  }

  ask(request: Request): Promise<unknown> {
    const answer = this.#answer();
    this.#process.send(request);
    return answer;
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.disconnect();
    await exit;
  }

  async #answer(): Promise<unknown> {
    const ended = once(this.#process, 'exit').then(() => [{ error: 'it has ended' }]);
    const [{ said, error }] = (await Promise.race([once(this.#process, 'message'), ended])) as [
      { said?: unknown; error?: string },
    ];
    if (error !== undefined) throw new Error(error);
    return said;
  }
}

let database: TestOrm;
let client: Client;
let folder: string;
let [before, after]: [Program?, Program?] = [];

async function folderOf(release: 'before' | 'after'): Promise<string> {
  const own = mkdtempSync(join(folder, `${release}-`));
  installInto(own);
  writeFileSync(join(own, 'package.json'), JSON.stringify({ type: 'module' }));
  copyFileSync(path('../support/rolling-deploy/program.ts'), join(own, 'program.ts'));
  copyFileSync(path(`../support/rolling-deploy/${release}.ts`), join(own, 'application.ts'));
  writeFileSync(
    join(own, 'byref.config.js'),
    `import * as application from './application.ts';
import { open } from './program.ts';
export default await open(application, process.env.DATABASE_URL);
`,
  );
  if (release === 'after') return own;
  const modules = join(own, 'node_modules');
  rmSync(join(modules, 'mikro-orm-byref'));
  const packed = gunzipSync(readFileSync(path('../../fixtures/earlier-release.json.gz'))).toString();
  for (const [name, text] of Object.entries(JSON.parse(packed) as Record<string, string>)) {
    const file = join(modules, 'mikro-orm-byref', name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return own;
}

/** Of the release of after. */
async function byref(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const command = join(folders.after, 'node_modules/mikro-orm-byref/dist/cli/byref.js');
  const env = { ...process.env, DATABASE_URL: database.url, NODE_OPTIONS };
  return run(process.execPath, [command, ...args], { cwd: folders.after, env }).then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ status: code, stdout, stderr }),
  );
}

let folders: { readonly before: string; readonly after: string };

/** What has been done, in the order of kind and number. */
async function done(): Promise<readonly object[]> {
  const sql = 'select kind, n, said from done order by kind, n';
  return (await client.query<object>(sql)).rows;
}

/** What a job of each kind and number says that has been run as it was meant. */
const expected = (from: number, count: number): readonly object[] =>
  KINDS.toSorted().flatMap((kind) =>
    Array.from({ length: count }, (_, step) => ({ kind, n: from + step, said: SAYS[kind] })),
  );

const SAYS: { readonly [Of in Kind]: string } = {
  'a renamed class': 'ann@example.org',
  'a renamed task': 'ann@example.org',
  'a new property': 'ann@example.org',
  'a new value object': 'priced',
  'a wider key': '7',
  'a new signing key': 'paid',
};

const jobs = async (states: readonly string[]): Promise<number> => {
  const sql = 'select count(*)::int as count from pgboss.job where state::text = any ($1)';
  return (await client.query<{ count: number }>(sql, [states])).rows[0]!.count;
};
const nothingWaits = (): Promise<void> => until(async () => (await jobs(['created', 'retry', 'active'])) === 0);

const produce = (n: number, kinds = KINDS): Request => ({ does: 'produce', kinds, n, count: COUNT });

beforeAll(async () => {
  database = await openDatabase(domain);
  folder = mkdtempSync(join(tmpdir(), 'byref-deploy-'));
  folders = { before: await folderOf('before'), after: await folderOf('after') };
  client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(`
    create table person (id int primary key, email varchar(255) not null);
    create table purchase (id int primary key);
    create table done (kind text not null, n int not null, said text not null);
    insert into person values (1, 'ann@example.org');
    insert into purchase values (7), (8)`);
});
beforeEach(async () => {
  before = await Program.start(folders.before, database.url);
  after = await Program.start(folders.after, database.url);
});
afterEach(async () => {
  await Promise.all([before!.end(), after!.end()]);
  await client.query('delete from pgboss.job; delete from done');
});
afterAll(async () => {
  await client.end();
  rmSync(folder, { recursive: true, force: true });
  await database.close();
});

test('workers first: nothing is lost, and nothing is misread', async () => {
  // Of before the migration, too.
  await before!.ask(produce(0));
  await client.query('alter table purchase alter id type bigint');
  expect(await byref('audit')).toMatchObject({ status: 0, stderr: '' });
  await before!.ask({ does: 'work' });
  await after!.ask({ does: 'work' });
  await before!.ask(produce(COUNT));
  await nothingWaits();
  await before!.ask({ does: 'rest' });
  await after!.ask(produce(2 * COUNT));
  await nothingWaits();
  expect(await done()).toEqual(expected(0, 3 * COUNT));
  expect(await jobs(['failed'])).toBe(0);
});

test('producers first: what the earlier release can’t read is kept, and comes back', async () => {
  await before!.ask({ does: 'work' });
  await after!.ask(produce(0));
  await nothingWaits();
  expect(await done()).toEqual([]);
  expect(await jobs(['failed'])).toBe(KINDS.length * COUNT);

  const row = (task: string, queue: string): object => ({ task, queue, requeued: COUNT, unreadable: 0, left: 0 });
  const tasks = expect.arrayContaining(
    ['greet', 'remind', 'mail', 'price', 'ship'].map((task) => row(task, 'work')).concat(row('pay', 'pay')),
  );
  // What goes back while the earlier release works, it may take again.
  await before!.ask({ does: 'rest' });
  const [dry, real] = [await byref('requeue', '--dry-run', '--json'), await byref('requeue', '--json')];
  expect([dry.status, JSON.parse(dry.stdout)]).toEqual([0, { dryRun: true, tasks }]);
  expect([real.status, JSON.parse(real.stdout)]).toEqual([0, { dryRun: false, tasks }]);
  await after!.ask({ does: 'work' });
  await nothingWaits();
  expect(await done()).toEqual(expected(0, COUNT));
  expect(await byref('requeue')).toEqual({ status: 0, stdout: 'Back in their queues: 0.\n', stderr: '' });
});

test('both at once: whatever the earlier release has taken comes back', async () => {
  await before!.ask({ does: 'work' });
  await after!.ask({ does: 'work' });
  await Promise.all([after!.ask(produce(0)), before!.ask(produce(COUNT))]);
  await nothingWaits();
  await before!.ask({ does: 'rest' });
  const failed = await jobs(['failed']);
  const { status, stdout } = await byref('requeue');
  expect([status, stdout]).toEqual([0, expect.stringContaining(`Back in their queues: ${failed}.\n`)]);
  await nothingWaits();
  expect(await done()).toEqual(expected(0, 2 * COUNT));
});

test('a lock that both take excludes them, and what both enqueue once is one job', async () => {
  const take: Request = { does: 'lock', purchase: 7 };
  for (const [first, second] of [
    [before!, after!],
    [after!, before!],
  ] as const) {
    expect([await first.ask(take), await second.ask(take)]).toEqual([true, false]);
    await first.ask({ does: 'release' });
    expect(await second.ask(take)).toBe(true);
    await second.ask({ does: 'release' });
  }
  for (const [purchase, programs] of [
    [7, [before!, after!]],
    [8, [after!, before!]],
  ] as const) {
    const ids = [];
    for (const program of programs) ids.push(await program.ask({ does: 'dedupe', purchase, n: purchase }));
    expect(ids[0]).toBe(ids[1]);
  }
  await after!.ask({ does: 'work' });
  await nothingWaits();
  expect(await done()).toEqual([7, 8].map((n) => ({ kind: 'a wider key', n, said: String(n) })));
});
