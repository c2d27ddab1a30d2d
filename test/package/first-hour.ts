import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '../../fixtures/redis.ts';
import { tarball } from '../lanes/tarball.ts';
import { examplesOf, tsconfigIn, withDatabasesOf } from '../support/examples.ts';
import { type Databases, withDatabases } from './databases.ts';
import { run } from './project.ts';

/**
 * A stranger's first hour, `npm run test:first-hour`: from an empty folder to a mended stale job, then to a Nest
 * application with it, then to a cached page over two processes. Nothing is done but what the pages say: their files are
 * written, and the lines of their `sh` blocks run in the order in which they stand.
 */
const JOURNEYS = [
  ['start/quick-start'],
  ['start/quick-start', 'start/nest'],
  ['start/quick-start', 'start/cached-page'],
];

const redis = await startRedis();
const folder = mkdtempSync(join(tmpdir(), 'byref-first-hour-'));
try {
  const packed = tarball(folder);
  await withDatabases(async (databases) => {
    for (const journey of JOURNEYS) {
      if (redis === undefined && journey.length > 1) {
        process.stdout.write(`Left out for want of a server: ${journey.join(', ')} (redis-server 1)\n`);
        assert(process.env['ALL_SERVERS'] !== 'true', 'ALL_SERVERS=true, and redis-server is missing');
        continue;
      }
      let cwd = mkdtempSync(join(folder, 'journey-'));
      for (const page of journey) cwd = await follow(page, cwd, packed, databases);
      process.stdout.write(`${journey.join(' → ')}: as the pages say\n`);
    }
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
  await redis?.stop();
}

/** Does what a page says; returns the folder in which its reader is then. */
async function follow(page: string, start: string, packed: string, databases: Databases): Promise<string> {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  const examples = examplesOf(text);
  const env = { ...databases.env, ...(redis !== undefined && { REDIS_URL: redis.url }) };
  let cwd = start;
  for (const [, block] of text.matchAll(/```sh\n(.*?)```/gs)) {
    for (const line of block!.trimEnd().split('\n')) {
      const program = /^(?:node|npx tsx) (\S+)\.ts$/.exec(line)?.[1];
      const command = line.replaceAll(/(?<=npm install )mikro-orm-byref\b/g, packed);
      const output = await run(cwd, 'bash', ['-ec', `${command}\npwd`], env);
      const printed = output.trimEnd().split('\n');
      cwd = printed.pop()!;
      if (program === undefined) continue;
      const { prints } = examples.find(({ name }) => name === program)!;
      assert.deepEqual(printed, prints, `${program}.ts prints something else`);
    }
    for (const { name, code, major } of examples) {
      if (major !== 6) writeFileSync(join(cwd, `${name}.ts`), withDatabasesOf(databases.suffix, code));
    }
    const tsconfig = tsconfigIn(text);
    if (tsconfig !== undefined) writeFileSync(join(cwd, 'tsconfig.json'), tsconfig);
  }
  return cwd;
}
