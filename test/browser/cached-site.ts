/** `npm run test:browser`: the cached site, as a visitor sees it. Needs Chromium: CHROMIUM, or `chromium` on the PATH. */
import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import { startSite } from '../support/cached-site.ts';

function findChromium(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const candidates = [process.env['CHROMIUM'], ...folders.map((folder) => join(folder, 'chromium'))];
  for (const path of candidates) {
    if (path === undefined || path === '') continue;
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next one.
    }
  }
  throw new Error('No Chromium: install the package chromium, or name an executable in CHROMIUM.');
}

const executablePath = findChromium();
const isRoot = process.getuid?.() === 0;
const site = await startSite();
const browser = await chromium.launch({ executablePath, args: isRoot ? ['--no-sandbox'] : [] });
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
  await page.waitForURL(site.url);
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
