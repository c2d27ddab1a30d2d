/** `npm run test:browser`: the shop of examples/nest, as a customer and its owner see it. */
import assert from 'node:assert/strict';
import { startPostgres } from '../../fixtures/postgres.ts';
import { openChromium } from '../support/chromium.ts';
import { until } from '../support/jobs.ts';
import { startShop } from '../support/shop.ts';

const postgres = await startPostgres();
const shop = await startShop({ DATABASE_URL: postgres.url });
const browser = await openChromium();
try {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  /** Does what brings another page, and waits for that. */
  const loading = async (act: () => Promise<void>): Promise<void> => {
    const loaded = page.waitForEvent('load');
    await act();
    await loaded;
  };
  const open = (name: string) => loading(() => page.getByRole('navigation').getByRole('link', { name }).click());
  const rows = () => page.locator('tr:has(td)').allInnerTexts();

  await page.goto(shop.url);
  await page.getByLabel('Product').selectOption('Teapot');
  await page.getByLabel('Quantity').fill('2');
  await page.getByLabel('Your name').fill('Ann');
  await page.getByLabel('Your mail address').fill('ann@old.example');
  const held = shop.holdOrder(1);
  await loading(() => page.getByRole('button', { name: 'Order' }).click());

  // While it is packed the address changes. What is typed stays while the page waits.
  const status = page.getByRole('status');
  assert.match(await status.innerText(), /^Packing: (?:waiting|active)$/);
  await page.getByLabel('Mails go to').fill('ann@new.example');
  await loading(() => page.getByRole('button', { name: 'Change' }).click());
  await until(async () => {
    await page.reload();
    return (await status.innerText()) === 'Packing: active';
  });
  await page.getByLabel('Mails go to').fill('half an addr');
  await (
    await held
  )();
  await page.getByText('Packed: P-1').waitFor();
  assert.equal(await page.getByLabel('Mails go to').inputValue(), 'half an addr');
  if (process.env['SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['SCREENSHOT'] });

  await until(async () => {
    await open('Mails');
    return (await rows()).length === 2;
  });
  assert.deepEqual(await rows(), [
    'ann@new.example\tParcel P-1 is on its way\tunsubscribe',
    'ann@old.example\tWe have your order: 2 × Teapot\tunsubscribe',
  ]);
  await page.getByRole('link', { name: 'unsubscribe' }).first().click();
  await page.getByRole('button', { name: 'Yes' }).click();
  await page.getByText('ann@new.example gets no more mails.').waitFor();

  await open('Shop');
  assert.ok((await rows()).includes('Teapot\t€ 39.00\t3'));
  await page.getByRole('link', { name: 'Teapot' }).click();
  await page.getByLabel('New name').fill('<b>Kettle</b>');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByRole('heading', { name: 'A small shop' }).waitFor();
  // The index hears of it by a job.
  await until(async () => {
    await page.getByLabel('Search').fill('tea');
    await loading(() => page.getByLabel('Search').press('Enter'));
    return (await rows()).join() === 'Tea\t€ 4.90\t100';
  });
  await open('Cache');
  const [hits, misses] = (await rows()).map((row) => Number(row.split('\t')[1]));
  assert.ok(hits! > 0 && misses === 3, `${hits} hits, ${misses} misses`);
  assert.deepEqual(errors, []);

  await open('Bull Board');
  await page.getByRole('link', { name: /shop/ }).first().click();
  await page.getByText('pack-order').first().waitFor();
  console.log('The shop packs an order while its customer moves, and shows who gets which mail.');
} finally {
  await browser.close();
  await shop.stop();
  await postgres.stop();
}
process.exit(0);
