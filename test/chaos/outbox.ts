/**
 * `node outbox.ts <messages> [mariadb]`: nothing lost. Producers and relays are killed at any point while orders are
 * written, each with a message and a job of BullMQ in its transaction. In the end each committed order has been handed
 * on and has its job, and nothing else has; messages that came twice are counted, jobs that did are none.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { OutboxMessage } from 'mikro-orm-byref/outbox';
import { schemaOf } from '../../fixtures/majors.ts';
import { startMariadb } from '../../fixtures/mariadb.ts';
import { startOwnPostgres } from '../../fixtures/postgres.ts';
import { startOwnRedis } from '../../fixtures/redis.ts';
import { type Addresses, openOrm, OutboxOrder, QUEUE } from './outbox-system.ts';

const MESSAGES = Number(process.argv[2] ?? 10_000);
/** How many processes of each kind there are, and the longest that they are left alone: a producer, then a relay is killed. */
const PROCESSES = 2;
const PEACE_MS = 3_000;
const DEADLINE_MS = 120_000 + MESSAGES * 30;

const database = process.argv[3] === 'mariadb' ? (await startMariadb())! : await startOwnPostgres();
const redis = await startOwnRedis();
let exitCode = 1;
try {
  const databaseUrl = Object.assign(new URL(database.url), { pathname: '/byref_outbox_chaos' }).href;
  exitCode = await chaos({ databaseUrl, redisUrl: redis?.url });
} finally {
  await redis?.stop();
  await database.stop();
}
process.exit(exitCode);

async function chaos(addresses: Addresses): Promise<number> {
  const startedAt = Date.now();
  const orm = openOrm(addresses);
  await schemaOf(orm).ensureDatabase();
  await schemaOf(orm).refresh();
  const count = (): Promise<number> => orm.em.fork().count(OutboxOrder);
  const handedOn: string[] = [];
  const producers = Array.from({ length: PROCESSES }, () => start('producer', addresses));
  const relays = Array.from({ length: PROCESSES }, () => start('relay', addresses, handedOn));

  let kills = 0;
  while ((await count()) < MESSAGES) {
    await sleep(PEACE_MS * Math.random());
    const [kind, processes] = kills++ % 2 === 0 ? (['producer', producers] as const) : (['relay', relays] as const);
    await killed(processes.shift()!);
    processes.push(start(kind, addresses, handedOn));
  }
  await Promise.all(producers.map(killed));
  await until(async () => (await orm.em.fork().count(OutboxMessage)) === 0);
  await Promise.all(relays.map(killed));

  const orders = await orm.em.fork().find(OutboxOrder, {});
  const distinct = new Set(handedOn);
  const lost = orders.filter(({ id }) => !distinct.has(id)).length;
  const unheardOf = distinct.size - (orders.length - lost);
  const jobs = addresses.redisUrl === undefined ? undefined : await jobsIn(addresses.redisUrl);
  const known = new Set(jobs);
  const jobsLost = jobs === undefined ? 0 : orders.filter(({ job }) => !known.has(job!)).length;
  const jobsTooMany = jobs === undefined ? 0 : jobs.length - (orders.length - jobsLost);
  await orm.close(true);
  console.log(
    `${orders.length} messages: ${lost} lost, ${unheardOf} of no order, ${handedOn.length - distinct.size} handed on again;` +
      ` ${jobs === undefined ? 'no Redis' : `${jobsLost} jobs lost, ${jobsTooMany} too many`};` +
      ` ${kills} producers and relays killed; ${Math.round((Date.now() - startedAt) / 1_000)} s`,
  );
  return [lost, unheardOf, jobsLost, jobsTooMany].every((wrong) => wrong === 0) && kills > 0 ? 0 : 1;
}

function start(kind: 'producer' | 'relay', addresses: Addresses, handedOn: string[] = []): ChildProcess {
  const script = fileURLToPath(new URL(`outbox-${kind}.ts`, import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(addresses)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return child.on('message', (ids) => void handedOn.push(...(ids as string[])));
}

/** What it has sent is read. */
async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) throw new Error('A process has ended by itself.');
  child.kill('SIGKILL');
  await once(child, 'exit');
  if (child.connected) await once(child, 'disconnect');
}

/** All are there: nobody works the queue. */
async function jobsIn(redisUrl: string): Promise<string[]> {
  const { hostname, port } = new URL(redisUrl);
  const queue = new Queue(QUEUE, { connection: { host: hostname, port: Number(port) } });
  const jobs = await queue.getJobs(['waiting', 'prioritized', 'delayed', 'active', 'completed', 'failed']);
  await queue.close();
  return jobs.map(({ id }) => id!);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('it took too long');
    await sleep(100);
  }
}
