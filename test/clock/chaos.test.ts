import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { testWith } from '../support/test-with.ts';

// While a child runs, Jest's own limits can't end a test: each child has one.

/** The short form of the one in `npm run test:long`: a cluster, workers and kills of its own, in processes of their own. */
test('500 jobs, killed workers and a restarted PostgreSQL: each effect exactly once', () => {
  const script = fileURLToPath(new URL('../chaos/killed-workers.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '500'], {
    encoding: 'utf8',
    timeout: 600_000,
  });
  expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining('500 jobs')]);
});

/** The same: connections cut, answers lost, PostgreSQL and Redis restarted under three workers that live on. */
test('200 orders on each engine through outages: no job lost, doubled where that is promised, discarded or stuck', () => {
  const script = fileURLToPath(new URL('../chaos/outages.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '200'], {
    encoding: 'utf8',
    timeout: 900_000,
  });
  // graphile-worker prints there what it recovers from.
  const faults = stderr.split('\n').filter((line) => /^[\w -]+: \{"missing"/.test(line));
  expect([status, faults, stdout]).toEqual([0, [], expect.stringContaining('graphile-worker: ')]);
});

/** Three processes, one of them with a clock that is ahead, and no bus that lasts. */
testWith('redis-server')(
  'caches of three processes over one Redis: nobody reads its own commits stale, or goes back behind them',
  () => {
    const script = fileURLToPath(new URL('../chaos/caches.ts', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [script, '8'], { encoding: 'utf8', timeout: 300_000 });
    expect([status, stdout]).toEqual([0, expect.stringContaining('; 0 stale and 0 backward reads of own commits')]);
  },
);
