import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

/** As fixtures/tc39/decorated.ts declares them; this file is compiled for the other kind of decorators. */
type Decorated = Record<'Below' | 'Above', new () => { id: number; name: string }>;

let database: TestOrm;
let decorated: Decorated;

beforeAll(async () => {
  // The output of `npm run test:tc39`.
  decorated = (await import(new URL('../../build/tc39/decorated.js', import.meta.url).href)) as Decorated;
  database = await openDatabase([decorated.Below, decorated.Above]);
});
afterAll(() => database.close());

test('TC39 decorators mark a class above and below @Entity', async () => {
  const serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  const below = em.create(decorated.Below, { id: 1, name: 'b' });
  const above = em.create(decorated.Above, { id: 2, name: 'a' });
  await em.flush();
  expect(JSON.stringify([below, above])).toBe('[{"$entity":["Below",1]},{"id":2,"name":"a"}]');
  const payload = serializer.serialize({ below, above });
  expect(payload).toBe('{"$byref":1,"data":{"below":{"$entity":["Below",1]},"above":{"$entity":["above",2]}}}');
  const back = await serializer.deserialize(payload, { em: database.orm.em.fork() });
  expect([back.below.name, back.above.name]).toEqual(['b', 'a']);
  expect(back.below).toBeInstanceOf(decorated.Below);
});
