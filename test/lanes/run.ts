/**
 * `npm run ci`: builds and packs once, runs the lanes side by side, and prints what each took and found.
 * `npm run ci -- --lane test --lane node-22` runs only these.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../../bench/tables.ts';
import { type Count, countOf, sumOf } from './count.ts';
import { FIRST, type Lane, LANES } from './lanes.ts';
import { tarball } from './tarball.ts';

interface Result extends Count {
  readonly name: string;
  readonly seconds: number;
}

const root = join(import.meta.dirname, '../..');
const logs = join(root, 'build/lanes');
/** Each has two workers of Jest, which wait for servers half of their time. */
const AT_ONCE = Math.max(2, Math.floor(availableParallelism() / 2));
/** A lane that hangs fails, and its log says where. */
const LIMIT_MS = 30 * 60_000;

const lanes = chosen();
const folder = mkdtempSync(join(tmpdir(), 'byref-lanes-'));
mkdirSync(logs, { recursive: true });
const results: Result[] = [];
try {
  results.push(await run({ name: 'build', scripts: ['build'] }));
  if (results[0]!.failed === 0) {
    process.env['BYREF_TARBALL'] = tarball(folder);
    for (const lane of FIRST) results.push(await run(lane));
    await sideBySide(lanes);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
results.sort((a, b) => order(a) - order(b));
const total = sumOf(results);
console.log(
  `\n${table([
    ['lane', 'seconds', 'passed', 'failed', 'left out'],
    ...results.map(({ name, seconds, ...count }) => [name, String(seconds), ...columns(count)]),
    ['all', String(Math.round(performance.now() / 1_000)), ...columns(total)],
  ])}\n`,
);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

function order({ name }: Result): number {
  return LANES.findIndex((lane) => lane.name === name);
}

function columns({ passed, failed, leftOut }: Count): string[] {
  return [passed, failed, leftOut].map(String);
}

/** The lanes that the arguments name, or all of them. */
function chosen(): readonly Lane[] {
  const { lane: names } = parseArgs({ options: { lane: { type: 'string', multiple: true } } }).values;
  if (names === undefined) return LANES;
  const unknown = names.filter((name) => !LANES.some((lane) => lane.name === name));
  if (unknown.length === 0) return LANES.filter(({ name }) => names.includes(name));
  throw new Error(`No such lane: ${unknown.join(', ')}. There are ${LANES.map(({ name }) => name).join(', ')}.`);
}

/** A lane that fails keeps none of the others from running. */
async function sideBySide(waiting: readonly Lane[]): Promise<void> {
  const queue = waiting.filter(({ waits }) => waits !== true);
  const line = async (): Promise<void> => {
    for (let lane = queue.shift(); lane !== undefined; lane = queue.shift()) results.push(await run(lane));
  };
  const beside = waiting.filter(({ waits }) => waits === true).map(async (lane) => void results.push(await run(lane)));
  await Promise.all([...beside, ...Array.from({ length: AT_ONCE }, line)]);
}

async function run({ name, scripts }: Lane): Promise<Result> {
  console.log(`… ${name}`);
  const startedAt = performance.now();
  const path = join(logs, `${name}.log`);
  const log = openSync(path, 'w');
  let isGood = true;
  for (const script of scripts) isGood &&= (await npmRun(script, log)) === 0;
  closeSync(log);
  const output = readFileSync(path, 'utf8');
  const result = { name, seconds: Math.round((performance.now() - startedAt) / 1_000), ...countOf(output, isGood) };
  const said = `${name}: ${result.passed} passed, ${result.failed} failed, ${result.seconds} s`;
  console.log(isGood ? `✓ ${said}` : `✗ ${said}\n${output}\n✗ ${said} (the log is above)`);
  return result;
}

async function npmRun(script: string, log: number): Promise<number | null> {
  const child = spawn('npm', ['run', '--loglevel=notice', script], {
    cwd: root,
    stdio: ['ignore', log, log],
    timeout: LIMIT_MS,
    shell: process.platform === 'win32',
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status;
}
