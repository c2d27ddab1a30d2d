import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../fixtures/free-port.ts';
import { startPostgres } from '../../fixtures/postgres.ts';
import { startRedis } from '../../fixtures/redis.ts';
import manifest from '../../package.json' with { type: 'json' };
import mikroOrm6 from '../other-versions/mikro-orm-6/package.json' with { type: 'json' };
import { tarball } from '../lanes/tarball.ts';
import { type Example, examples, installsOf, pages, readme, tsconfigIn, withDatabasesOf } from '../support/examples.ts';
import { dropDatabases } from './databases.ts';
import { install, project, run } from './project.ts';

/**
 * Runs every example of the README and of docs/ as its reader does: in a folder that holds nothing but the packed
 * package and what the page says to install, by plain `node`, or by tsx where it says so. `npm run test:examples` does so
 * with the newest of all packages, `npm run test:examples:6` with MikroORM 6 and what goes with it.
 */
const MAJOR = process.argv[2] === '6' ? 6 : 7;
const PINS_7 = /@mikro-orm\/core@7/;
const [FIRST] = installsOf(readme) as [string];
/** What the README says to name a version of, with MikroORM 6. */
const withMikroOrm6: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(mikroOrm6.dependencies).filter(([name]) => /^@(?:mikro-orm|nestjs)\//.test(name)),
);
/** For decorators and for tsc. */
const TOOLS = pages.flatMap(installsOf).find((line) => line.includes('tsx'))!;
const JEST_CONFIG = /```js\n\/\/ jest\.config\.js\n(.*?)```/s.exec(pages.join('\n'))![1]!;
const TSCONFIG = tsconfigIn(pages.join('\n'))!;

/** On standard output, with ids that no page can show. */
const GRAPHILE_WORKER_LOG = /^\[\w+(?:\([\w-]+\))?\] INFO: /;

const suffix = randomBytes(4).toString('hex');
/** The ports that examples listen on, and free ones for them: another run may be beside this one. */
const ports = new Map<string, string>();
for (const port of examples.flatMap(({ code }) => code.match(/(?<=\bport: |\bstart\()\d{4}\b/g) ?? []))
  ports.set(port, `${await freePort()}`);
const withPorts = (text: string): string => text.replaceAll(/\b\d{4}\b/g, (number) => ports.get(number) ?? number);

/** Without the lines that pin the other major, and with databases and ports of this run. */
const ofMajor = examples
  .filter(({ major }) => major === undefined || major === MAJOR)
  .map((example) => ({
    ...example,
    installs: example.installs.filter((line) => MAJOR === 7 || !PINS_7.test(line)),
    code: withPorts(withDatabasesOf(suffix, example.code)),
    prints: example.prints.map(withPorts),
  }));
const database = `byref_examples_${suffix}`;
const server = await startPostgres();
const redis = await startRedis();
const folder = mkdtempSync(join(tmpdir(), 'byref-examples-'));
const clients: pg.Client[] = [];
let packed: string;
/** Of the examples that do something else; the others run all the same. */
const failures: unknown[] = [];
try {
  packed = tarball(folder);
  const programs = ofMajor.filter(({ prints, runner }) => prints.length > 0 || runner !== undefined);
  const runnable = programs.filter(({ needsRedis }) => redis !== undefined || !needsRedis);
  for (const example of ofMajor) namesItsPackages(example);

  // With what its own section says and nothing else: another section's packages would hide that one is missing.
  const bystander = await openBystander();
  for (const [lines, group] of Map.groupBy(runnable, ({ installs }) => installs.join('; '))) {
    const { installs } = group[0]!;
    const tools = group.some(({ needsTsx }) => needsTsx) ? [TOOLS] : [];
    process.stdout.write(`npm install ${lines || FIRST}\n`);
    const cwd = await folderWith([...installs, ...tools]);
    for (const example of group) {
      try {
        await (example.runner === undefined ? printsWhatItSays(cwd, example) : passes(cwd, example));
        await bystander.isUntouched(example);
      } catch (error) {
        process.stdout.write(`  ${example.name}.ts fails\n`);
        failures.push(error);
        await bystander.cleanUp();
      }
    }
  }

  // One application may want all of them. The older versions come last, as they take the newest away.
  const all = [...new Set(ofMajor.flatMap(({ installs }) => installs))].filter((line) => line !== FIRST);
  const together = await folderWith([...all.filter((line) => !isPinned(line)), ...all.filter(isPinned)]);
  await run(together, 'npm', ['exec', '--', 'tsc', '--noEmit']);

  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} of ${runnable.length} examples fail`);
  process.stdout.write(`${runnable.length} examples print what they say, or pass\n`);
  const left = programs.length - runnable.length;
  if (left > 0) process.stdout.write(`Left out for want of a server: ${left} examples (redis-server ${left})\n`);
  assert(left === 0 || process.env['ALL_SERVERS'] !== 'true', 'ALL_SERVERS=true, and redis-server is missing');
} finally {
  for (const client of clients) await client.end();
  await dropDatabases(server.url, suffix);
  rmSync(folder, { recursive: true, force: true });
  await redis?.stop();
  await server.stop();
}

function isPinned(line: string): boolean {
  return /\w@\d+\.\d/.test(line);
}

function packagesOf(line: string): string[] {
  return line
    .split(' ')
    .map((name) => (name === manifest.name ? packed : name))
    .map((name) => (MAJOR === 6 && name in withMikroOrm6 ? `${name}@${withMikroOrm6[name]}` : name));
}

/** A folder with all examples, in which one `npm install` after the other has run. */
async function folderWith(lines: readonly string[]): Promise<string> {
  const cwd = await project(folder, randomBytes(4).toString('hex'), packagesOf(FIRST));
  for (const line of lines) await install(cwd, packagesOf(line));
  for (const { name, code } of ofMajor) writeFileSync(join(cwd, `${name}.ts`), code);
  writeFileSync(join(cwd, 'tsconfig.json'), TSCONFIG);
  writeFileSync(join(cwd, 'jest.config.js'), JEST_CONFIG);
  return cwd;
}

/** What an example imports is in an install line of its own section, or in the README's first. */
function namesItsPackages({ name, code, installs }: Example): void {
  const named = [FIRST, ...installs].flatMap((line) => line.split(' '));
  const installed = new Set(named.map((argument) => argument.replace(/(?<=\w)@.*/, '')));
  for (const [, specifier] of code.matchAll(/^(?:import|\} from) .*?'([^']+)';/gm)) {
    if (specifier!.startsWith('.') || isBuiltin(specifier!)) continue;
    const [imported] = /^(?:@[^/]+\/)?[^/]+/.exec(specifier!)!;
    // `mikro-orm-byref/bullmq` is for those who have bullmq.
    const peer = specifier!.slice(`${manifest.name}/`.length);
    const needed = imported === manifest.name && peer in manifest.peerDependencies ? peer : imported;
    assert(installed.has(needed), `${name}.ts needs ${needed}, which no install line near it names`);
  }
}

async function printsWhatItSays(cwd: string, { name, needsTsx, prints }: Example): Promise<void> {
  const env = { ...process.env, DATABASE_URL: server.url, ...(redis !== undefined && { REDIS_URL: redis.url }) };
  const startedAt = performance.now();
  const output = needsTsx
    ? await run(cwd, 'npm', ['exec', '--', 'tsx', `${name}.ts`], env)
    : await run(cwd, process.execPath, [`${name}.ts`], env);
  const lines = output.split('\n').filter((line) => line !== '' && !GRAPHILE_WORKER_LOG.test(line));
  assert.deepEqual(lines, prints, `${name}.ts prints something else`);
  process.stdout.write(`  ${name}.ts ${Math.round(performance.now() - startedAt)} ms\n`);
}

/** As its first line says; with no test it fails. */
async function passes(cwd: string, { name, runner }: Example): Promise<void> {
  const env = { ...process.env, DATABASE_URL: server.url };
  const startedAt = performance.now();
  if (runner === 'vitest') await run(cwd, 'npm', ['exec', '--', 'vitest', 'run', `${name}.ts`], env);
  else await run(cwd, process.execPath, ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', name], env);
  process.stdout.write(`  ${name}.ts passes, ${Math.round(performance.now() - startedAt)} ms\n`);
}

/** What somebody else keeps in the database of the examples: a table of their own, and rows in tables of the models. */
async function openBystander(): Promise<{ isUntouched(example: Example): Promise<void>; cleanUp(): Promise<void> }> {
  await (await connect('postgres')).query(`create database "${database}"`);
  const client = await connect(database);
  await client.query(`
    create table bystander (id int primary key);
    insert into bystander values (1);
    create table "user" (id int primary key, email varchar(255) not null, version int not null default 1);
    insert into "user" values (999, 'bystander', 1);
  `);
  return {
    async isUntouched({ name, code }) {
      if (!code.includes("'./model.ts'")) return;
      const { rows } = await client.query(`
        select (select json_agg(id) from bystander) as bystander, (select json_agg(u) from "user" u) as users,
          (select count(*)::int from post) as posts, (select count(*)::int from tag) as tags
      `);
      const untouched = { bystander: [1], users: [{ id: 999, email: 'bystander', version: 1 }], posts: 0, tags: 0 };
      assert.deepEqual(rows, [untouched], `${name}.ts leaves other rows than it found`);
    },
    /** After an example that has failed, for those that follow. */
    async cleanUp() {
      for (const from of ['post', 'tag', '"user" where id <> 999']) await client.query(`delete from ${from}`);
    },
  };
}

async function connect(name: string): Promise<pg.Client> {
  const client = new pg.Client(Object.assign(new URL(server.url), { pathname: name }).href);
  clients.push(client);
  await client.connect();
  return client;
}
