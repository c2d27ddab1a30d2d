/**
 * `node outages.ts <orders> [seed] [engine]`: outages that the workers live through. Orders and their jobs are written in one
 * transaction each, while connections are cut, answers to COMMIT are lost, PostgreSQL and Redis are restarted and Redis
 * is paused. In the end each order that is there has the effect of its transactional task exactly once and of the other
 * at least once; no job has failed for good whose order is there, and none is left.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import { type OwnServer, startOwnPostgres } from '../../fixtures/postgres.ts';
import { type OwnRedis, startOwnRedis } from '../../fixtures/redis.ts';
import { openProxy, type PostgresProxy } from '../support/postgres-proxy.ts';
import { Effect, entities, Order } from './orders.ts';
import { type Addresses, connect, ENGINES, type EngineName, type System } from './outage-system.ts';

const ORDERS = Number(process.argv[2] ?? 2_000);
const SEED = Number(process.argv[3] ?? Date.now() % 1_000_000);
const WORKERS = 3;
const DEADLINE_MS = 180_000 + ORDERS * 30;

interface Place {
  readonly postgres: OwnServer;
  readonly redis: OwnRedis | undefined;
  readonly proxy: PostgresProxy;
  /** Of a database of its own, past the proxy. */
  readonly directUrl: string;
  readonly addresses: Addresses;
}

/** What a worker has written: a job that failed for good. */
interface Discarded {
  readonly task: string;
  readonly order: number | undefined;
  readonly error: string;
}

const postgres = await startOwnPostgres();
const redis = await startOwnRedis();
let isRight = true;
try {
  for (const engine of ENGINES.filter((name) => name === (process.argv[4] ?? name))) {
    if (engine === 'BullMQ on Redis' && redis === undefined) continue;
    isRight = (await outages(engine)) && isRight;
  }
} finally {
  await redis?.stop();
  await postgres.stop();
}
process.exit(isRight ? 0 : 1);

async function outages(engine: EngineName): Promise<boolean> {
  const startedAt = Date.now();
  const database = `byref_outages_${ENGINES.indexOf(engine)}`;
  const directUrl = Object.assign(new URL(postgres.url), { pathname: `/${database}` }).href;
  await makeTables(directUrl);
  const proxy = await openProxy(directUrl);
  const addresses = { databaseUrl: proxy.url, redisUrl: redis?.url };
  const place: Place = { postgres, redis, proxy, directUrl, addresses };
  const discarded: Discarded[] = [];
  const workers = await Promise.all(Array.from({ length: WORKERS }, () => startWorker(engine, addresses, discarded)));
  const producer = await connect(engine, addresses, () => undefined);
  const watcher = makeOrm({ entities, clientUrl: directUrl });
  const over = new AbortController();
  const counts = new Map<string, number>();
  const disturbing = disturb(engine, place, counts, over.signal);

  await produce(producer);
  over.abort();
  await disturbing;
  const isDone = async (): Promise<boolean> => (await missingEffects(watcher, engine)).length === 0;
  const isInTime = await until(isDone);
  // A job that is not over could add another effect.
  await sleep(2_000);

  const missing = await missingEffects(watcher, engine);
  const doubled = await watcher.em
    .fork()
    .execute<{ order: number }[]>(
      `select order_id as "order" from effects where task = 'bill' group by order_id having count(*) > 1`,
    );
  const phantom = await watcher.em
    .fork()
    .execute<{ order: number }[]>(
      `select order_id as "order" from effects where order_id not in (select id from orders)`,
    );
  const wrong = await wronglyDiscarded(watcher, discarded);
  const ended = workers.filter(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null).length;
  const [orders, mails] = [
    await watcher.em.fork().count(Order),
    await watcher.em.fork().count(Effect, { task: 'mail' }),
  ];
  console.log(
    `${engine}: ${orders} of ${ORDERS} orders committed, ${mails - orders + missing.length} mails repeated,` +
      ` ${discarded.length} jobs of no order discarded; ${[...counts].map(([name, count]) => `${count} ${name}`).join(', ')};` +
      ` seed ${SEED}; ${Math.round((Date.now() - startedAt) / 1_000)} s`,
  );
  const faults = { missing, doubled, phantom, wrong, ended };
  const isFaultless = isInTime && missing.length + doubled.length + phantom.length + wrong.length + ended === 0;
  if (!isFaultless) console.error(`${engine}:`, JSON.stringify(faults).slice(0, 2_000));

  for (const worker of workers) worker.kill('SIGKILL');
  await producer.close().catch(() => undefined);
  await watcher.close(true);
  await proxy.close();
  return isFaultless;
}

async function makeTables(url: string): Promise<void> {
  const maker = makeOrm({ entities, clientUrl: url });
  await schemaOf(maker).ensureDatabase();
  await schemaOf(maker).refresh();
  await maker.close(true);
}

async function startWorker(engine: EngineName, addresses: Addresses, discarded: Discarded[]): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('outage-worker.ts', import.meta.url));
  const worker = spawn(process.execPath, [script, engine, JSON.stringify(addresses)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  createInterface({ input: worker.stdout! }).on('line', (line) => discarded.push(JSON.parse(line) as Discarded));
  await Promise.race([once(worker, 'message'), once(worker, 'exit')]);
  if (worker.exitCode !== null) throw new Error(`a worker ended with ${worker.exitCode} before it worked`);
  return worker;
}

/** Orders with their jobs, a few transactions at once. What an outage has cut may be there or not: its order tells. */
async function produce({ orm, bill, mail }: System): Promise<void> {
  let next = 1;
  const producer = async (): Promise<void> => {
    while (next <= ORDERS) {
      const id = next++;
      const transaction = orm.em.fork().transactional(async (em) => {
        const order = em.create(Order, { id, total: id });
        await em.flush();
        await bill?.delay({ order });
        await mail.delay({ order });
      });
      await transaction.catch(() => sleep(50));
      await sleep(10);
    }
  };
  await Promise.all(Array.from({ length: 4 }, producer));
}

/** One outage after the other, by the seed, until it is over. */
async function disturb(
  engine: EngineName,
  place: Place,
  counts: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  const outagesOf: Record<string, () => Promise<void> | void> = {
    'times all connections cut': () => place.proxy.cut(),
    'times answers to COMMIT lost': async () => {
      place.proxy.commitAnswer = 'lose';
      await sleep(200);
      place.proxy.commitAnswer = 'pass';
    },
    'restarts of PostgreSQL': () => place.postgres.restart(),
    ...(engine === 'BullMQ on Redis' && {
      'pauses of Redis': () => place.redis!.pause(2_000),
      'restarts of Redis': () => place.redis!.restart(),
    }),
  };
  const names = Object.keys(outagesOf);
  let state = SEED;
  for (let turn = 0; !signal.aborted; turn++) {
    await sleep(700, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    // Each kind once, then by a generator of numbers: https://en.wikipedia.org/wiki/Lehmer_random_number_generator
    state = (state * 48_271 + 1) % 2_147_483_647;
    const name = names[turn < names.length ? turn : state % names.length]!;
    await outagesOf[name]!();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
}

/** The tasks of orders that have had no effect yet. */
function missingEffects(watcher: System['orm'], engine: EngineName): Promise<{ order: number; task: string }[]> {
  const tasks = engine === 'BullMQ on Redis' ? `('mail')` : `('bill'), ('mail')`;
  return watcher.em.fork().execute(`
    select o.id as order, t.task from orders o cross join (values ${tasks}) as t (task)
    where not exists (select from effects e where e.order_id = o.id and e.task = t.task)`);
}

async function wronglyDiscarded(watcher: System['orm'], discarded: readonly Discarded[]): Promise<Discarded[]> {
  const rows = await watcher.em.fork().execute<{ id: number }[]>('select id from orders');
  const there = new Set(rows.map(({ id }) => id));
  return discarded.filter(({ order }) => order === undefined || there.has(order));
}

async function until(isSo: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + DEADLINE_MS;
  while (Date.now() < deadline) {
    if (await isSo().catch(() => false)) return true;
    await sleep(200);
  }
  return false;
}
