/**
 * `npm run shop`: the shop, on a PostgreSQL and a Redis of its own, or those of DATABASE_URL and REDIS_URL. PORT is its
 * port, and with `-- --decorated` its entities have decorators.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import pg from 'pg';
import { startPostgres } from '../../fixtures/postgres.ts';
import { startRedis } from '../../fixtures/redis.ts';

const here = import.meta.dirname;
const root = join(here, '../..');
const name = `byref_shop_${randomBytes(4).toString('hex')}`;

const redis = await startRedis();
if (redis === undefined) throw new Error('No Redis: install redis-server, or name one in REDIS_URL.');
const postgres = await startPostgres();
const databaseUrl = Object.assign(new URL(postgres.url), { pathname: name }).href;
await query(`create database ${name}`);

// As `nest build` does.
const built = join(root, 'build', name);
const tsc = join(root, 'node_modules/typescript/bin/tsc');
spawnSync(process.execPath, [tsc, '-p', here, '--outDir', built, '--noCheck'], { stdio: 'inherit' });
if (process.argv.includes('--decorated'))
  copyFileSync(join(built, 'entities.decorated.js'), join(built, 'entities.js'));

const env = { DATABASE_URL: databaseUrl, REDIS_URL: redis.url, SIGNING_KEY: randomBytes(32).toString('hex') };
const shop = spawn(process.execPath, [join(built, 'main.js')], { stdio: 'inherit', env: { ...process.env, ...env } });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => shop.kill('SIGTERM'));
const [code] = (await once(shop, 'exit')) as [number | null];

if (redis.url === process.env['REDIS_URL']) {
  const queue = new Queue('shop', { connection: { url: redis.url }, prefix: name });
  await queue.obliterate({ force: true });
  await queue.close();
}
await query(`drop database ${name} with (force)`);
rmSync(built, { recursive: true, force: true });
await redis.stop();
await postgres.stop();
process.exit(code ?? 0);

async function query(sql: string): Promise<void> {
  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query(sql);
  await client.end();
}
