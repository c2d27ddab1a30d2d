import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { inlineEngine } from 'mikro-orm-byref/tasks';
import { contractEntities, engineContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
});
afterAll(() => database.close());

describe('the inline engine', () => {
  for (const { name, run } of engineContract(() => ({ orm: database.orm, engine: inlineEngine }))) test(name, run);
});
