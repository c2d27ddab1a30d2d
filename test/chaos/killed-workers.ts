/**
 * `node killed-workers.ts <jobs>`: nothing lost, nothing twice. Orders and their jobs are written in one transaction each, some of
 * which roll back, while workers are killed in the middle of jobs and PostgreSQL is restarted. In the end each order
 * has its effect exactly once, and no effect is without its order.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import { type OwnServer, startOwnPostgres } from '../../fixtures/postgres.ts';
import { Effect, Order } from './orders.ts';
import { connect, type System } from './pg-boss-system.ts';

const JOBS = Number(process.argv[2] ?? 10_000);
/** How many processes work, and how often one of them is killed. */
const WORKERS = 2;
const KILL_EVERY_MS = 1_500;
const DEADLINE_MS = 240_000 + JOBS * 30;

const server = await startOwnPostgres();
let exitCode = 1;
try {
  exitCode = await chaos(server);
} finally {
  await server.stop();
}
process.exit(exitCode);

async function chaos(postgres: OwnServer): Promise<number> {
  const startedAt = Date.now();
  const url = Object.assign(new URL(postgres.url), { pathname: '/byref_chaos' }).href;
  const system = await prepared(url);
  const workers = Array.from({ length: WORKERS }, () => startWorker(url));
  const progress = { next: 1 };
  let kills = 0;
  const over = new AbortController();
  const killing = (async () => {
    for (; !over.signal.aborted; await sleep(KILL_EVERY_MS)) {
      const victim = workers.shift()!;
      kills++;
      await killed(victim);
      workers.push(startWorker(url));
    }
  })();
  const restarting = (async () => {
    for (const part of [1 / 3, 2 / 3]) {
      await until(async () => progress.next > JOBS * part);
      await postgres.restart();
    }
  })();

  const rolledBack = await produce(system, progress);
  await restarting;
  await until(async () => (await effects(system)) >= (await orders(system)));
  over.abort();
  await killing;
  // A job that is not over could add a second effect.
  await until(async () => (await openJobs(system)) === 0);
  await Promise.all(workers.map(killed));

  const [wrong, count, total] = [await wrongOrders(system), await orders(system), await effects(system)];
  console.log(
    `${JOBS} jobs: ${count} committed, ${rolledBack} rolled back on purpose, ${JOBS - count - rolledBack} cut off;` +
      ` ${total} effects; ${kills} workers killed, 2 restarts; ${Math.round((Date.now() - startedAt) / 1_000)} s`,
  );
  if (wrong.length > 0) console.error('wrong:', JSON.stringify(wrong.slice(0, 20)));
  await system.boss.stop({ graceful: false });
  const isRight = wrong.length === 0 && total === count && count > JOBS / 2 && rolledBack > 0 && kills > 0;
  return isRight ? 0 : 1;
}

async function prepared(url: string): Promise<System> {
  const maker = makeOrm({ entities: [], discovery: { warnWhenNoEntities: false }, clientUrl: url });
  await schemaOf(maker).ensureDatabase();
  await maker.close(true);
  const system = await connect(url);
  await schemaOf(system.orm).refresh();
  return system;
}

/** Orders with their jobs, a few transactions at once; every fifth rolls back. Returns how many did. */
async function produce(system: System, progress: { next: number }): Promise<number> {
  let rolledBack = 0;
  const producer = async (): Promise<void> => {
    while (progress.next <= JOBS) {
      const id = progress.next++;
      const isDropped = id % 5 === 0;
      const transaction = system.orm.em.fork().transactional(async (em) => {
        const order = em.create(Order, { id, total: id });
        await em.flush();
        await system.bill.delay({ order });
        if (isDropped) throw new Error('rolled back on purpose');
      });
      // A transaction that the restart cuts may have committed or not: its order tells.
      await transaction.catch(() => sleep(50));
      if (isDropped) rolledBack++;
      // Leaves the workers, the killer and the server their turn.
      await sleep(2);
    }
  };
  await Promise.all(Array.from({ length: 4 }, producer));
  return rolledBack;
}

function startWorker(url: string): ChildProcess {
  return spawn(process.execPath, [fileURLToPath(new URL('killed-worker.ts', import.meta.url)), url], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
}

async function killed(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  worker.kill('SIGKILL');
  await once(worker, 'exit');
}

function orders({ orm }: System): Promise<number> {
  return orm.em.fork().count(Order);
}

function effects({ orm }: System): Promise<number> {
  return orm.em.fork().count(Effect);
}

/** Jobs that wait, are under way, or are to be retried: those of killed workers among them. */
async function openJobs({ orm, bill }: System): Promise<number> {
  const sql = `select from pgboss.job where name = ? and state in ('created', 'retry', 'active')`;
  return (await orm.em.fork().execute(sql, [bill.name])).length;
}

/** Orders without an effect or with several, and effects without an order. */
async function wrongOrders({ orm }: System): Promise<unknown[]> {
  return orm.em.fork().execute(`
    select coalesce(o.id, e.order_id) as order, count(e.id) as effects, o.id is null as "rolled back"
    from orders o full join effects e on e.order_id = o.id group by o.id, e.order_id having count(e.id) <> 1 or o.id is null`);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  const isSoNow = (): Promise<boolean> =>
    isSo().catch((error: { code?: unknown }) => {
      // The database may be down right now; any other error is this script's own.
      if (typeof error.code === 'string') return false;
      throw error;
    });
  while (!(await isSoNow())) {
    if (Date.now() > deadline) throw new Error('it took too long');
    await sleep(100);
  }
}
