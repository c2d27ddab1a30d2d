import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import 'mikro-orm-byref/class-transformer';
import { contractEntities, engineContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { promisesOf } from '../support/engine-table.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
});
afterAll(() => database.close());

describe('graphile-worker', () => {
  const engine = () => graphileWorkerEngine(runnerOptions(database.url));
  for (const { name, run } of engineContract(() => ({ orm: database.orm, engine, ...promisesOf('graphile-worker') })))
    test(name, run);
});
