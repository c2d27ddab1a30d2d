import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { contractEntities, lockContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { forkLockWorker, type LockStore, lockStores } from '../support/lock-stores.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
});
afterAll(() => database.close());

for (const kind of ['postgres', 'postgres with tokens']) {
  describe(`locks of ${kind}`, () => {
    let store: LockStore;
    beforeAll(async () => {
      store = await lockStores[kind]!(database.orm);
    });

    const worker = () => forkLockWorker(kind, database.url);
    for (const { name, run } of lockContract(() => ({ ...store, orm: database.orm, worker }))) test(name, run);
  });
}
