import { createHash } from 'node:crypto';
import { expect } from '@jest/globals';
import { createOrm, type TestOrm } from '../../fixtures/orm.ts';

/** An ORM on a database that belongs to the calling test file alone. */
export function openDatabase(
  entities: Parameters<typeof createOrm>[2],
  options?: Parameters<typeof createOrm>[3],
): Promise<TestOrm> {
  const file = expect.getState().testPath ?? '';
  const name = `byref_${createHash('sha256').update(`${process.pid} ${file} ${Math.random()}`).digest('hex').slice(0, 16)}`;
  return createOrm(process.env['TEST_DATABASE_URL']!, name, entities, options);
}
