import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

/** Servers, producers, relays and kills of its own, in processes of their own: Jest's limits can't end it, its own one does. */
test('10,000 messages through an outbox whose producers and relays are killed: none lost, no job twice', () => {
  const script = fileURLToPath(new URL('../chaos/outbox.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '10000'], {
    encoding: 'utf8',
    timeout: 600_000,
  });
  expect([status, stderr, stdout]).toEqual([
    0,
    '',
    expect.stringMatching(/^1\d{4} messages: 0 lost, 0 of no order, \d+/),
  ]);
});
