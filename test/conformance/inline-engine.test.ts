import { afterAll, beforeAll, describe } from '@jest/globals';
import { inlineEngine } from 'mikro-orm-byref/tasks';
import 'mikro-orm-byref/class-transformer';
import { contractEntities, engineContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { testCases } from '../support/test-with.ts';
import { promisesOf } from '../support/engine-table.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
});
afterAll(() => database.close());

describe('the inline engine', () => {
  testCases(engineContract(() => ({ orm: database.orm, engine: inlineEngine, ...promisesOf('`inlineEngine()`') })));
});
