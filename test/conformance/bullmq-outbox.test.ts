import { afterAll, beforeAll } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import 'mikro-orm-byref/class-transformer';
import { Outbox, OutboxMessage } from 'mikro-orm-byref/outbox';
import type { Engine } from 'mikro-orm-byref/tasks';
import { contractEntities, engineContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { redisConnection } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { promisesOf } from '../support/engine-table.ts';
import { Relays } from '../support/outbox.ts';
import { describeWith, testCases } from '../support/test-with.ts';

describeWith('redis-server')('BullMQ on Redis with an outbox', () => {
  let database: TestOrm;
  const relays = new Relays();
  beforeAll(async () => {
    database = await openDatabase([...contractEntities, OutboxMessage] as never);
    // As in a process that does nothing else.
    relays.start(program().outbox);
  });
  afterAll(async () => {
    await relays.stop();
    await database.close();
  });

  const program = (): { outbox: Outbox; engine: Engine } => {
    const outbox = new Outbox(new EntitySerializer(database.orm));
    return { outbox, engine: bullmqEngine({ connection: redisConnection(), outbox }) };
  };
  const engine = () => program().engine;
  testCases(engineContract(() => ({ orm: database.orm, engine, ...promisesOf('BullMQ on Redis with an outbox') })));
});
