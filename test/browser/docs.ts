/** `npm run test:browser`: the built pages of docs/, as a reader sees them on a phone and on a screen, light and dark. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { openChromium } from '../support/chromium.ts';
import { until } from '../support/jobs.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const dist = join(root, 'docs/.vitepress/dist');
const ORIGIN = 'http://docs.test';
const [PHONE, SCREEN] = [
  { width: 375, height: 812 },
  { width: 1_280, height: 900 },
];
/** The colour of plain boxes in a picture. */
const BOX = { light: '246,248,250', dark: '38,44,54' };

if (!existsSync(dist)) {
  const { status } = spawnSync('npx', ['vitepress', 'build', 'docs'], { cwd: root, stdio: 'inherit' });
  assert.equal(status, 0, 'The pages can’t be built.');
}
const pages = globSync('**/*.html', { cwd: dist, exclude: ['reference/api/**', '404.html'] })
  .map((file) => `/${file.replace(/(?:^|(?<=\/))index\.html$|\.html$/, '')}`)
  .toSorted();
assert.ok(pages.length > 30, `${pages.length} pages`);

const browser = await openChromium();
try {
  const page = await browser.newPage({ viewport: PHONE });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && errors.push(`${page.url()}: ${message.text()}`));
  await page.addInitScript({ path: fileURLToPath(new URL('in-page.js', import.meta.url)) });
  await serve(page);

  for (const path of pages) {
    await page.goto(ORIGIN + path);
    assert.deepEqual(await page.evaluate('inPage.brokenImages()'), [], `images of ${path}`);
    for (const size of [PHONE, SCREEN]) {
      await page.setViewportSize(size);
      assert.deepEqual(await page.evaluate('inPage.wideElements()'), [], `${path} at ${size.width} pixels`);
    }
    await page.setViewportSize(PHONE);
  }
  await page.setViewportSize(SCREEN);
  const found = await searchForCodes(page);
  const looks = await looksOfPictures(page);
  for (const file of globSync('pictures/*.svg', { cwd: dist })) {
    await page.goto(`${ORIGIN}/${file}`);
    assert.deepEqual(await page.evaluate('inPage.misplacedTexts()'), [], file);
  }
  assert.deepEqual(errors, []);
  console.log(
    `${pages.length} pages fit ${PHONE.width} pixels; search finds ${found} codes; pictures have ${looks} looks.`,
  );
} finally {
  await browser.close();
}
process.exit(0);

/** Answers as the host of the site does: `/guides/jobs` is guides/jobs.html. */
async function serve(to: Page): Promise<void> {
  await to.route(`${ORIGIN}/**`, (route) => {
    const path = decodeURIComponent(new URL(route.request().url()).pathname);
    const file = [path, `${path}.html`, join(path, 'index.html')]
      .map((candidate) => join(dist, candidate))
      .find((candidate) => existsSync(candidate) && statSync(candidate).isFile());
    return file === undefined ? route.fulfill({ status: 404 }) : route.fulfill({ path: file });
  });
}

/** What is found for the code of an error has its section. */
async function searchForCodes(of: Page): Promise<number> {
  const text = readFileSync(join(root, 'docs/operations/troubleshooting.md'), 'utf8');
  const codes = Array.from(text.matchAll(/^## (E_\w+)$/gm), ([, code]) => code!);
  assert.ok(codes.includes('E_LOCKED'));
  await of.goto(`${ORIGIN}/`);
  const [button, input] = [of.getByRole('button', { name: 'Search' }).first(), of.locator('#localsearch-input')];
  // A click before the page's scripts have run goes to nobody.
  await until(async () => {
    if (!(await input.isVisible())) await button.click({ timeout: 1_000 }).catch(() => undefined);
    return input.isVisible();
  });
  for (const code of codes) {
    await input.fill(code);
    const section = `/operations/troubleshooting#${code.toLowerCase()}`;
    await of.locator(`.VPLocalSearchBox a.result[href$="${section}"]`).waitFor({ timeout: 30_000 });
  }
  await input.fill('missing');
  await of.locator('.VPLocalSearchBox a.result').first().waitFor({ timeout: 30_000 });
  return codes.length;
}

/** Pictures are light or dark as the page is, and the page as its reader has set it, whatever the system prefers. */
async function looksOfPictures(of: Page): Promise<number> {
  for (const system of ['light', 'dark'] as const) {
    for (const look of ['light', 'dark'] as const) {
      await of.emulateMedia({ colorScheme: system });
      await of.goto(`${ORIGIN}/`);
      await of.evaluate(`localStorage.setItem('vitepress-theme-appearance', '${look}')`);
      await of.reload();
      const picture = of.locator('.vp-doc img').first();
      await picture.scrollIntoViewIfNeeded();
      const png = (await picture.screenshot()).toString('base64');
      const seen: string[] = await of.evaluate(`inPage.coloursOf('data:image/png;base64,${png}')`);
      const shown = Object.entries(BOX).filter(([, colour]) => seen.includes(colour));
      assert.deepEqual(
        shown.map(([name]) => name),
        [look],
        `a ${look} page where the system is ${system}`,
      );
    }
  }
  return Object.keys(BOX).length;
}
