import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { startSite } from '../support/site.ts';

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
});

test('cached-site.ts shows a comment to the next visitor, from a page that is kept for an hour', async () => {
  const site = await startSite('cached-site.ts', { DATABASE_URL: process.env['TEST_DATABASE_URL'] });
  const get = async (path: string): Promise<string> => (await fetch(new URL(path, site.url))).text();
  const post = (fields: Record<string, string>) =>
    fetch(new URL('/comments', site.url), { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' });
  const madeAt = (html: string): string | undefined => /made at <time datetime="(.*?)"/.exec(html)?.[1];
  try {
    const first = await get('/');
    expect(first).toContain('No comments yet.');
    expect(madeAt(await get('/'))).toBe(madeAt(first));

    const posted = await post({ author: 'Ann', text: '<script>alert("x")</script>' });
    expect([posted.status, posted.headers.get('location')]).toEqual([303, '/']);
    const second = await get('/');
    expect(second).toContain('&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;');
    expect(second).not.toContain('<script');
    expect(madeAt(second)).not.toBe(madeAt(first));
    expect(madeAt(await get('/'))).toBe(madeAt(second));

    expect((await post({ author: '', text: 'a' })).status).toBe(400);
    expect((await post({ author: 'a', text: 'x'.repeat(30_000) })).status).toBe(400);
    expect((await fetch(new URL('/nowhere', site.url))).status).toBe(404);

    const stats = await get('/stats');
    expect(stats).toMatch(/<svg .*<rect data-series="hits" .*<rect data-series="misses" /s);
    expect(stats).toMatch(/hits<\/th><td>2<.*misses<\/th><td>2<.*factoryCalls<\/th><td>2</s);
  } finally {
    await site.stop();
  }
});
