import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

test('votes.ts tells the authors of all three models', () => {
  const script = fileURLToPath(new URL('../../examples/votes.ts', import.meta.url));
  const env = { ...process.env, DATABASE_URL: process.env['TEST_DATABASE_URL'] };
  const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8', env });
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toEqual([
    'Ann, your question "Why?" has 1 votes.',
    'Bob, your answer to "Why?" has 1 votes.',
    'Cleo, your comment "Because." has 1 votes.',
  ]);
}, 60_000);
