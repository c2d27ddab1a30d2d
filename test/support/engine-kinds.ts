/** The engines that store jobs, in programs of their own: one that writes them, and one that looks. */
import { randomUUID } from 'node:crypto';
import { PgBoss } from 'pg-boss';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import type { Engine } from 'mikro-orm-byref/tasks';
import { storeKinds } from './bullmq.ts';
import { runnerOptions } from './graphile-worker.ts';
import type { describeWith } from './test-with.ts';

/** An engine, and what it runs on. */
export interface Opened {
  readonly engine: Engine;
  close(): Promise<void>;
}

export interface EngineKind {
  readonly name: string;
  readonly needs: Parameters<typeof describeWith>;
  /** What a schedule leaves besides itself: BullMQ makes its first job at once. */
  readonly schedule: 'none' | 'alone' | 'with its job';
  /** For a program that writes. */
  write(url: string): Promise<Opened>;
  /** For one that does not. */
  read(url: string): Promise<Opened>;
}

/** Of BullMQ's keys in Redis. */
export const prefix = `stored-${randomUUID()}`;
const boss = (connectionString: string): PgBoss =>
  new PgBoss({ connectionString, supervise: false, schedule: false, schema: 'jobs' }).on(
    'error',
    () => undefined,
  ) as PgBoss;
const graphile = async (url: string): Promise<Opened> => ({
  engine: graphileWorkerEngine(runnerOptions(url)),
  close: async () => undefined,
});

export const engineKinds: readonly EngineKind[] = [
  {
    name: 'pg-boss',
    needs: [],
    schedule: 'alone',
    async write(url) {
      const started = boss(url);
      await started.start();
      const engine = pgBossEngine(started, { pollingIntervalSeconds: 0.5 });
      return { engine, close: () => started.stop({ graceful: false }) };
    },
    // Not started: it is not asked.
    read: async (url) => ({ engine: pgBossEngine(boss(url)), close: async () => undefined }),
  },
  { name: 'graphile-worker', needs: [], schedule: 'none', write: graphile, read: graphile },
  ...storeKinds().map(({ name, needs, open }): EngineKind => {
    const write = async (url: string): Promise<Opened> => {
      const { connection, backend, close } = await open(url);
      const own = name === 'Redis' ? { queue: { prefix }, worker: { prefix } } : {};
      return { engine: bullmqEngine({ connection, ...own, ...(backend[0] && { backend: backend[0] }) }), close };
    };
    return { name: `BullMQ on ${name}`, needs: [...needs], schedule: 'with its job', write, read: write };
  }),
];
