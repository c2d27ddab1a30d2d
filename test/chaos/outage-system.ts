/** What producer and workers of the outages share: the tasks of an order, on each of the engines. */
import type { EntityManager } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import * as bullmq from 'bullmq';
import { Logger } from 'graphile-worker';
import { Pool } from 'pg';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Engine, type OnError, type Task, Tasks } from 'mikro-orm-byref/tasks';
import { makeOrm } from '../../fixtures/majors.ts';
import { Effect, entities, type Order } from './orders.ts';

export const ENGINES = ['pg-boss', 'BullMQ on Redis', 'BullMQ on PostgreSQL', 'graphile-worker'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface Addresses {
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
}

export interface System {
  readonly orm: MikroORM;
  readonly tasks: Tasks;
  /** Its effect is part of the job's completion; on engines that can. */
  readonly bill: Task<{ order: Order }, void> | undefined;
  readonly mail: Task<{ order: Order }, void>;
  close(): Promise<void>;
}

interface Opened {
  readonly engine: Engine;
  close(): Promise<void>;
}

const OPEN: Readonly<Record<EngineName, (addresses: Addresses, tell: (error: unknown) => void) => Promise<Opened>>> = {
  async 'pg-boss'({ databaseUrl }, tell) {
    const boss = new PgBoss({
      connectionString: databaseUrl,
      schedule: false,
      superviseIntervalSeconds: 1,
      monitorIntervalSeconds: 1,
      maintenanceIntervalSeconds: 1,
    });
    boss.on('error', tell);
    await boss.start();
    const engine = pgBossEngine(boss, { pollingIntervalSeconds: 0.5, expireInSeconds: 5 });
    return { engine, close: () => boss.stop({ graceful: false }) };
  },
  async 'BullMQ on Redis'({ redisUrl }) {
    const { hostname, port } = new URL(redisUrl!);
    const connection = { host: hostname, port: Number(port) };
    return { engine: bullmqEngine({ connection, worker: LOCKS }), close: async () => {} };
  },
  async 'BullMQ on PostgreSQL'({ databaseUrl }, tell) {
    const pool = new Pool({ connectionString: databaseUrl, options: '-c search_path=bullmq' });
    pool.on('error', tell);
    const client = await pool.connect();
    await bullmq.runMigrations(client as never, 'bullmq').finally(() => client.release());
    const engine = bullmqEngine({ connection: pool, backend: bullmq.createPostgresBackend, worker: LOCKS });
    return { engine, close: () => pool.end() };
  },
  async 'graphile-worker'({ databaseUrl }, tell) {
    const logger = new Logger(() => () => undefined);
    // A pool of graphile-worker's own throws where the server ends a connection while it shuts down.
    const pgPool = new Pool({ connectionString: databaseUrl });
    pgPool.on('error', tell).on('connect', (client) => client.on('error', tell));
    const engine = graphileWorkerEngine({ pgPool, pollInterval: 200, noHandleSignals: true, logger });
    return { engine, close: () => pgPool.end() };
  },
};

/** A job whose worker has lost its connection is looked for within seconds. */
const LOCKS = { lockDuration: 3_000, stalledInterval: 1_000 } as const;

const RETRIES = { limit: 100, delayMs: 300, backoff: false } as const;

export async function connect(name: EngineName, addresses: Addresses, onError: OnError): Promise<System> {
  const orm = makeOrm({ entities, clientUrl: addresses.databaseUrl });
  const tell = (error: unknown): void =>
    void onError({ task: undefined, queue: name, id: undefined, attempt: undefined, final: false, tokens: [], error });
  const { engine, close } = await OPEN[name](addresses, tell);
  const tasks = new Tasks(new EntitySerializer(orm), engine, { onError });
  const effectOf =
    (task: string) =>
    async ({ order }: { order: Order }, { em }: { readonly em: EntityManager }): Promise<void> => {
      em.create(Effect, { orderId: order.id, task });
      await em.flush();
    };
  const bill = engine.isTransactional
    ? tasks.define('bill', effectOf('bill'), { transactional: true, concurrency: 2, retries: RETRIES })
    : undefined;
  const mail = tasks.define('mail', effectOf('mail'), { concurrency: 2, retries: RETRIES });
  return {
    orm,
    tasks,
    bill,
    mail,
    async close() {
      await tasks.stop({ timeoutMs: 5_000 });
      await close();
      await orm.close(true);
    },
  };
}
