/** `npm run test:browser`: the cached site, as a visitor sees it. */
import assert from 'node:assert/strict';
import { startSite } from '../support/site.ts';
import { openChromium } from '../support/chromium.ts';

const site = await startSite('cached-site.ts');
const browser = await openChromium();
try {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));

  await page.goto(site.url);
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Latest comments');
  await page.reload();

  const text = '<b>Fresh</b> & "quoted"';
  await page.getByLabel('Your name').fill('Ann');
  await page.getByLabel('Your comment').fill(text);
  await page.getByRole('button', { name: 'Post comment' }).click();
  await page.locator('article p').waitFor();
  assert.deepEqual(await page.locator('article p').allInnerTexts(), [text]);
  await page.reload();
  assert.deepEqual(await page.locator('article p').allInnerTexts(), [text]);

  await page.getByRole('link', { name: 'Cache statistics' }).click();
  const chart = page.getByRole('img', { name: 'Answers of the cache in the last minute' });
  assert.ok(await chart.isVisible());
  for (const label of ['Hits', 'Misses', 'Seconds', 'Requests per second']) {
    assert.ok(await chart.getByText(label, { exact: true }).isVisible(), label);
  }
  for (const series of ['hits', 'misses']) {
    const box = await chart.locator(`rect[data-series=${series}]`).first().boundingBox();
    assert.ok(box !== null && box.width > 1 && box.height > 1, `a bar of ${series}`);
  }
  const counts = await page.locator('tbody tr').allInnerTexts();
  assert.ok(counts.includes('hits\t2') && counts.includes('misses\t2'), counts.join());
  if (process.env['SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['SCREENSHOT'] });
  assert.deepEqual(errors, []);
  console.log('The cached site shows a comment on the next load, and draws its hits and misses.');
} finally {
  await browser.close();
  await site.stop();
}
process.exit(0);
