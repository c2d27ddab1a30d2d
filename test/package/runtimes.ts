/** Runs the README's first example with Bun and with Deno, whose packages on npm bring their programs. */
import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tarball } from '../lanes/tarball.ts';
import { installsOf, readme, withDatabasesOf } from '../support/examples.ts';
import { withDatabases } from './databases.ts';
import { project, run } from './project.ts';
import { quickStart, runExample } from './quick-start.ts';

const page = readFileSync(new URL('../../docs/guides/bundlers.md', import.meta.url), 'utf8');
const RUNTIMES = { bun: 'bun reminder.ts', deno: 'deno run --allow-all reminder.ts' } as const;

/** Says what runs it, and whether import and require() give one copy. */
const ONE_COPY = `
import { createRequire } from 'node:module';
import { EntitySerializer } from 'mikro-orm-byref';
const required = createRequire(import.meta.url)('mikro-orm-byref');
console.log(Object.keys(process.versions).filter((name) => name === 'bun' || name === 'deno').join(), required.EntitySerializer === EntitySerializer);
`;

const folder = mkdtempSync(join(tmpdir(), 'byref-runtimes-'));
try {
  const packed = tarball(folder);
  const [line] = installsOf(readme);
  const packages = line!.split(' ').map((name) => (name === 'mikro-orm-byref' ? packed : name));
  process.stdout.write(`npm install ${line} bun deno\n`);
  const cwd = await project(folder, 'runtimes', [...packages, ...Object.keys(RUNTIMES)]);
  await withDatabases(async ({ suffix, env }) => {
    writeFileSync(join(cwd, 'reminder.ts'), withDatabasesOf(suffix, quickStart.code));
    writeFileSync(join(cwd, 'one-copy.js'), ONE_COPY);
    for (const [runtime, command] of Object.entries(RUNTIMES)) {
      assert(page.includes(`\`${command}\``));
      await runExample(quickStart, cwd, 'npm', ['exec', '--', ...command.split(' ')], env);
      const output = await run(cwd, 'npm', ['exec', '--', ...command.replace('reminder.ts', 'one-copy.js').split(' ')]);
      assert.equal(output, `${runtime} true\n`);
    }
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
