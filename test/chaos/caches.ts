/**
 * `node caches.ts <seconds>`: three processes with a cache each, over one Redis, whose bus is cut all the time, one of them
 * with a clock that is ahead. None ever reads its own commits stale, or goes back behind them.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import { startOwnPostgres } from '../../fixtures/postgres.ts';
import { startOwnRedis } from '../../fixtures/redis.ts';
import { Counter, counters } from './counters.ts';

const SECONDS = Number(process.argv[2] ?? 60);
const AHEAD_MS = [0, 0, 100];

interface Seen {
  readonly commits: number;
  readonly reads: number;
  readonly made: number;
  readonly stale: number;
  readonly backward: number;
}

const redis = await startOwnRedis();
if (redis === undefined) {
  console.log('Left out for want of redis-server');
  process.exit(0);
}
const postgres = await startOwnPostgres();
let isRight = false;
try {
  isRight = await chaos(Object.assign(new URL(postgres.url), { pathname: '/byref_caches' }).href, redis.url);
} finally {
  await redis.stop();
  await postgres.stop();
}
process.exit(isRight ? 0 : 1);

async function chaos(databaseUrl: string, redisUrl: string): Promise<boolean> {
  const orm = makeOrm({ entities: counters, clientUrl: databaseUrl });
  await schemaOf(orm).ensureDatabase();
  await schemaOf(orm).refresh();
  await orm.em.fork().insertMany(
    Counter,
    AHEAD_MS.map((_, index) => ({ id: index + 1, count: 0 })),
  );
  await orm.close(true);
  const over = new AbortController();
  const cutting = cutBus(redisUrl, over.signal);
  const all = await Promise.all(AHEAD_MS.map((aheadMs, index) => run(databaseUrl, redisUrl, index + 1, aheadMs)));
  over.abort();
  const cuts = await cutting;
  const sum = (of: keyof Seen): number => all.reduce((total, seen) => total + seen[of], 0);
  console.log(
    `${SECONDS} s: ${sum('commits')} commits, ${sum('reads')} reads, ${sum('made')} values made, the bus cut ${cuts} times;` +
      ` ${sum('stale')} stale and ${sum('backward')} backward reads of own commits`,
  );
  return sum('stale') + sum('backward') === 0 && sum('commits') > SECONDS && cuts > 0 && sum('made') < sum('reads');
}

async function run(databaseUrl: string, redisUrl: string, row: number, aheadMs: number): Promise<Seen> {
  const script = fileURLToPath(new URL('caching-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, databaseUrl, `${row}`, `${aheadMs}`, `${SECONDS}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TEST_REDIS_URL: redisUrl },
  });
  return JSON.parse(await text(child.stdout)) as Seen;
}

/** Returns how often. */
async function cutBus(url: string, signal: AbortSignal): Promise<number> {
  const client = new Redis(url);
  let cuts = 0;
  for (; !signal.aborted; await sleep(300, undefined, { signal }).catch(() => undefined)) {
    cuts += Number(await client.client('KILL', 'TYPE', 'pubsub'));
  }
  client.disconnect();
  return cuts;
}
