/** What docs/operations/deploying.md walks through, command by command: each prints what the page says. */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import type { TestOrm } from '../../fixtures/orm.ts';
import { domain } from '../../fixtures/domain.ts';
import { openDatabase } from '../support/database.ts';
import { installInto, packageFolder } from '../support/package.ts';

const page = readFileSync(new URL('../../docs/operations/deploying.md', import.meta.url), 'utf8');

/** A command of the page, with the lines that it prints. */
interface Command {
  readonly command: string;
  readonly prints: readonly string[];
  readonly isOfBefore: boolean;
}

let database: TestOrm;
let folder: string;
const release = (isOfBefore = false): string => join(folder, isOfBefore ? 'before' : 'now');

const commandsOf = (block: string): Command[] =>
  block
    .split(/^(?=\$ )/m)
    .filter((text) => text.startsWith('$ '))
    .map((text) => {
      const [command, ...prints] = text.trimEnd().split('\n');
      return { command: command!.slice(2), prints, isOfBefore: block.startsWith('# a worker of the release before') };
    });

/** Lines that are out and in, one run of them after the other. */
function change(diff: string): void {
  const file = join(release(), 'shop.ts');
  let code = readFileSync(file, 'utf8');
  for (const [, out, into] of diff.matchAll(/((?:^-.*\n)+)((?:^\+.*\n)*)/gm)) {
    const [before, after] = [out!, into!].map((lines) => lines.replaceAll(/^[-+]/gm, ''));
    expect(code.split(before!)).toHaveLength(2);
    code = code.replace(before!, () => after!);
  }
  writeFileSync(file, code);
}

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  DATABASE_URL: database.url,
  NODE_OPTIONS: '',
  NO_COLOR: '1',
});

/** What a command prints, on whichever output; of one that goes on, as many lines as are asked for. */
function linesOf({ command, prints, isOfBefore }: Command): Promise<readonly string[]> {
  const [, ...args] = command.replace(/^npx byref/, `node ${join(packageFolder, 'dist/cli/byref.js')}`).split(' ');
  const options = { cwd: release(isOfBefore), env: environment() };
  if (command !== 'node work.ts') {
    return new Promise((resolve) => {
      execFile(process.execPath, args, options, (_error, stdout, stderr) => {
        const text = `${stdout}${stderr}`.trimEnd();
        resolve(text === '' ? [] : text.split('\n'));
      });
    });
  }
  const worker = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve) => {
    const lines: string[] = [];
    const late = setTimeout(() => worker.kill('SIGKILL'), 60_000);
    for (const input of [worker.stdout, worker.stderr]) {
      createInterface({ input }).on('line', (line) => {
        lines.push(line);
        if (lines.length === prints.length) worker.kill();
      });
    }
    worker.on('close', () => {
      clearTimeout(late);
      resolve(lines);
    });
  });
}

/** Ids are of this run. */
const withoutIds = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => line.replaceAll(/[\da-f]{8}-[\da-f-]{27}/g, 'id'));

beforeAll(async () => {
  database = await openDatabase(domain);
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(`
    drop table if exists "user" cascade;
    create table "user" (id int primary key, email varchar(255) not null);
    insert into "user" values (1, 'ann@example.org')`);
  await client.end();
  folder = mkdtempSync(join(tmpdir(), 'byref-deploying-'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database.close();
});

test('each command prints what the page says', async () => {
  const code = (language: string): [string, string][] =>
    Array.from(page.matchAll(new RegExp(`\`\`\`${language}\\n// (\\S+)\\n(.*?)\`\`\``, 'gs')), ([, name, text]) => [
      name!,
      text!,
    ]);
  for (const each of ['before', 'now'] as const) {
    const own = release(each === 'before');
    mkdirSync(own);
    installInto(own);
    writeFileSync(join(own, 'package.json'), JSON.stringify({ type: 'module' }));
    for (const [name, text] of [...code('ts'), ...code('js')]) writeFileSync(join(own, name), text);
  }
  const steps = page.matchAll(/```(diff|sh)\n(.*?)```/gs);
  let count = 0;
  for (const [, kind, text] of steps) {
    if (kind === 'diff') {
      change(text!);
      continue;
    }
    for (const command of commandsOf(text!)) {
      count++;
      const [printed, said] = [await linesOf(command), command.prints].map(withoutIds);
      // A worker prints on two outputs.
      if (command.command === 'node work.ts') expect(printed!.toSorted()).toEqual(said!.toSorted());
      else expect([command.command, ...printed!]).toEqual([command.command, ...said!]);
    }
  }
  expect(count).toBeGreaterThan(10);
});
