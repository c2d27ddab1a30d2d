import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { LockFactory } from '@verrou/core';
import { memoryStore } from '@verrou/core/drivers/memory';
import { verrouLocks } from 'mikro-orm-byref/locks';
import { contractEntities, localLockContract, lockContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { forkLockWorker, type LockStore, lockStores } from '../support/lock-stores.ts';
import { describeWith } from '../support/test-with.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
});
afterAll(() => database.close());

const NEEDS = { table: [], redis: ['redis-server'] } as const;
for (const [kind, needs] of Object.entries(NEEDS)) {
  describeWith('processes', ...needs)(`locks of Verrou in a ${kind} store`, () => {
    let store: LockStore;
    beforeAll(async () => {
      store = await lockStores[kind]!(database.orm);
    });
    afterAll(() => store.close());

    const worker = () => forkLockWorker(kind, database.url);
    for (const { name, run } of lockContract(() => ({ ...store, orm: database.orm, worker }))) test(name, run);
  });
}

describe('locks of Verrou in memory', () => {
  // One for the process: that store itself lets a second holder in when it asks in the moment of a release.
  const provider = verrouLocks(new LockFactory(memoryStore().factory()), { leaseMs: 3_000, pollMs: 30 });
  const setup = () => ({ orm: database.orm, provider: () => provider });
  for (const { name, run } of localLockContract(setup)) test(name, run);
});
