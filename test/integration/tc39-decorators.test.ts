import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { importTc39 } from '../support/tc39.ts';

/** As fixtures/tc39/decorated.ts declares them; this file is compiled for the other kind of decorators. */
interface Reports {
  build(name: string): Promise<boolean>;
  run<T>(name: string, work: () => Promise<T>): Promise<T>;
}
type Decorated = Record<'Below' | 'Above', new () => { id: number; name: string }> &
  Record<'Reports' | 'MonthlyReports', new (locks: Locks, isFree: () => Promise<boolean>) => Reports>;

let database: TestOrm;
let decorated: Decorated;

beforeAll(async () => {
  decorated = await importTc39<Decorated>('decorated');
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

test('@Locked as a TC39 decorator', async () => {
  const serializer = new EntitySerializer(database.orm);
  const [locks, others] = [postgresLocks(database.orm), postgresLocks(database.orm)].map(
    (provider) => new Locks(serializer, provider),
  ) as [Locks, Locks];
  try {
    const isFree = (key: unknown) => async () => (await others.tryRun(key, () => 0)).ran;
    for (const Class of [decorated.Reports, decorated.MonthlyReports]) {
      expect(await new Class(locks, isFree(['Reports', 'build', 'a'])).build('a')).toBe(false);
      expect(await new Class(locks, isFree(['Reports', 'build', 'b'])).build('a')).toBe(true);
      expect(await new Class(locks, isFree('one')).run('a', isFree('one'))).toBe(false);
    }
    const [here, there] = [locks, others].map((its) => new decorated.Reports(its, isFree('')));
    await here!.run('a', () => expect(there!.run('b', isFree(''))).rejects.toMatchObject({ code: 'E_LOCKED' }));
  } finally {
    await locks.close();
    await others.close();
  }
});
