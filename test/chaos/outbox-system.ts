/** What producers and relays of the outbox share: orders, each with a message and, where there is a Redis, a job. */
import { EntitySchema } from '@mikro-orm/core';
import { MikroORM as MariadbOrm } from '@mikro-orm/mariadb';
import type { MikroORM } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { Outbox, OutboxMessage, type Publish } from 'mikro-orm-byref/outbox';
import { type DeclaredTask, Tasks } from 'mikro-orm-byref/tasks';
import { makeOrm } from '../../fixtures/majors.ts';

export interface Addresses {
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
}

export class OutboxOrder {
  declare id: string;
  declare job: string | null;
}

const order = new EntitySchema<OutboxOrder>({
  class: OutboxOrder,
  tableName: 'outbox_orders',
  properties: { id: { type: 'string', length: 36, primary: true }, job: { type: 'string', nullable: true } },
});

/** Both in one queue of BullMQ. */
export const QUEUE = 'outbox-chaos';

export const openOrm = ({ databaseUrl }: Addresses): MikroORM =>
  makeOrm(
    { entities: [order, OutboxMessage] as never, clientUrl: databaseUrl },
    databaseUrl.startsWith('mysql:') ? (MariadbOrm as never) : undefined,
  );

export interface System {
  readonly orm: MikroORM;
  readonly outbox: Outbox;
  readonly bill: DeclaredTask<{ order: OutboxOrder }, void> | undefined;
}

/** For a process that is killed in the end. */
export function connect(addresses: Addresses, publish?: Publish): System {
  const orm = openOrm(addresses);
  const serializer = new EntitySerializer(orm);
  const outbox = new Outbox(serializer, { ...(publish && { publish }), retries: { delayMs: 100 } });
  const { redisUrl } = addresses;
  if (redisUrl === undefined) return { orm, outbox, bill: undefined };
  const { hostname, port } = new URL(redisUrl);
  const engine = bullmqEngine({ connection: { host: hostname, port: Number(port) }, outbox });
  return { orm, outbox, bill: new Tasks(serializer, engine).declare(QUEUE) };
}
