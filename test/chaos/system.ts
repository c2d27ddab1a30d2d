/** What producer and worker of the chaos test share: an order, its effect, and the task between them. */
import { type EntityManager, EntitySchema } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Task, Tasks } from 'mikro-orm-byref/tasks';
import { makeOrm } from '../../fixtures/majors.ts';

export class Order {
  declare id: number;
  declare total: number;
}

/** One row for each time that an order's job had its effect: no key keeps a second one out. */
export class Effect {
  declare id: number;
  declare orderId: number;
}

const entities = [
  new EntitySchema<Order>({
    class: Order,
    tableName: 'orders',
    properties: { id: { type: 'number', primary: true, autoincrement: false }, total: { type: 'number' } },
  }),
  new EntitySchema<Effect>({
    class: Effect,
    tableName: 'effects',
    properties: { id: { type: 'number', primary: true }, orderId: { type: 'number' } },
  }),
];

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
