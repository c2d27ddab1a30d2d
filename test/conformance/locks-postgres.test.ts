import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { contractEntities, lockContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { forkLockWorker, type LockStore, lockStores } from '../support/lock-stores.ts';

let database: TestOrm;
let store: LockStore;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
  store = await lockStores['postgres']!(database.orm);
});
afterAll(() => database.close());

describe('locks of PostgreSQL', () => {
  const worker = () => forkLockWorker('postgres', database.url);
  for (const { name, run } of lockContract(() => ({ ...store, orm: database.orm, worker }))) test(name, run);
});
