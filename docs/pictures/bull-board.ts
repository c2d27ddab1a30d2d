/**
 * `npm run docs:bull-board`: guides/bullmq’s picture of Bull Board, on which jobs by reference have run. Needs a build,
 * Redis and Chromium. Each run has its own times of day, so that no test compares the picture.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { EntitySerializer } from 'mikro-orm-byref';
import { byReference } from 'mikro-orm-byref/bullmq';
import { domain, User } from '../../fixtures/domain.ts';
import { createOrm } from '../../fixtures/orm.ts';
import { startPostgres } from '../../fixtures/postgres.ts';
import { startRedis } from '../../fixtures/redis.ts';
import { openChromium } from '../../test/support/chromium.ts';
import { until } from '../../test/support/jobs.ts';

const file = fileURLToPath(new URL('../public/pictures/bull-board.png', import.meta.url));
const [postgres, redis] = [await startPostgres(), await startRedis()];
if (redis === undefined) throw new Error('No Redis: install redis-server, or name one in REDIS_URL.');
const database = await createOrm(postgres.url, `byref_board_${randomBytes(4).toString('hex')}`, domain);
const { hostname, port: redisPort } = new URL(redis.url);
const connection = { host: hostname, port: Number(redisPort) };
const { Queue, Worker } = byReference(new EntitySerializer(database.orm));
const queue = new Queue<{ user: User }>('reminders', { connection, prefix: `board-${process.pid}` });
const worker = new Worker<{ user: User }>(queue.name, async ({ data: { user } }) => `mail to user ${user.id}`, {
  connection,
  prefix: `board-${process.pid}`,
});
const server = createServer();
const browser = await openChromium();
try {
  const em = database.orm.em.fork();
  const user = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.flush();
  await queue.add('mail', { user });
  await until(async () => (await queue.getCompletedCount()) === 1);

  const board = new ExpressAdapter();
  createBullBoard({ queues: [new BullMQAdapter(queue as never)], serverAdapter: board });
  server.on('request', board.getRouter() as never).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const page = await browser.newPage({ viewport: { width: 940, height: 700 }, colorScheme: 'light' });
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/queue/${queue.name}?status=completed`);
  const closed = page.getByRole('button', { name: 'expand JSON' });
  await closed.first().waitFor();
  // Values deeper than three levels are closed at first.
  while ((await closed.count()) > 0) await closed.first().click();
  await page.getByText('$entity').first().waitFor();
  await page.screenshot({ path: file });
} finally {
  await browser.close();
  server.close();
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  await database.close();
  await redis.stop();
  await postgres.stop();
}
process.exit(0);
