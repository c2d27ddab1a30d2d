/** What producer and killed workers share: a task that bills an order. */
import type { EntityManager } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Task, Tasks } from 'mikro-orm-byref/tasks';
import { makeOrm } from '../../fixtures/majors.ts';
import { Effect, entities, type Order } from './orders.ts';

export interface System {
  readonly orm: MikroORM;
  readonly boss: PgBoss;
  readonly tasks: Tasks;
  readonly bill: Task<{ order: Order }, undefined>;
}

export async function connect(clientUrl: string): Promise<System> {
  const orm = makeOrm({ entities, clientUrl });
  const boss = new PgBoss({
    connectionString: clientUrl,
    schedule: false,
    // A job whose worker is gone is run again within seconds.
    superviseIntervalSeconds: 1,
    monitorIntervalSeconds: 1,
    maintenanceIntervalSeconds: 1,
  });
  // It tells of every query that the restart cuts, and goes on.
  boss.on('error', () => undefined);
  await boss.start();
  const tasks = new Tasks(
    new EntitySerializer(orm),
    pgBossEngine(boss, { pollingIntervalSeconds: 0.5, expireInSeconds: 5 }),
  );
  const bill = tasks.define(
    'bill',
    async ({ order }: { order: Order }, { em }: { em: EntityManager }) => {
      em.create(Effect, { orderId: order.id });
    },
    { transactional: true, concurrency: 4, retries: { limit: 1_000, delayMs: 1_000, backoff: false } },
  );
  return { orm, boss, tasks, bill };
}
