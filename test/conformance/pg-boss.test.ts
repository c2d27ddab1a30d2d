import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { PgBoss } from 'pg-boss';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import 'mikro-orm-byref/class-transformer';
import { contractEntities, engineContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { promisesOf } from '../support/engine-table.ts';

let database: TestOrm;
let boss: PgBoss;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
  boss = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
  boss.on('error', () => undefined);
  await boss.start();
});
afterAll(async () => {
  await boss.stop({ graceful: false });
  await database.close();
});

describe('pg-boss', () => {
  const engine = () => pgBossEngine(boss, { pollingIntervalSeconds: 0.5 });
  for (const { name, run } of engineContract(() => ({ orm: database.orm, engine, ...promisesOf('pg-boss') })))
    test(name, run);
});
