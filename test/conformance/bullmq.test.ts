import { afterAll, beforeAll } from '@jest/globals';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import 'mikro-orm-byref/class-transformer';
import { contractEntities, engineContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { testCases } from '../support/test-with.ts';
import { promisesOf } from '../support/engine-table.ts';

describeStores('BullMQ', ({ name, open }) => {
  let database: TestOrm;
  let store: Store;
  beforeAll(async () => {
    database = await openDatabase(contractEntities);
    store = await open(database.url);
  });
  afterAll(async () => {
    await store.close();
    await database.close();
  });

  const engine = () =>
    bullmqEngine({ connection: store.connection, ...(store.backend[0] && { backend: store.backend[0] }) });
  testCases(engineContract(() => ({ orm: database.orm, engine, ...promisesOf(`BullMQ on ${name}`) })));
});
