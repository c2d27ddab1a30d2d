import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName } from '../support/jobs.ts';
import { soon } from '../support/soon.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(domain);
  const em = database.orm.em.fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.flush();
});
afterAll(() => database.close());

test('schedules of graphile-worker: declared before or after work(), replaced by key, signed, run by the clock', async () => {
  const serializer = new EntitySerializer(database.orm, { signingKeys: ['a secret of thirty-two bytes, ok'] });
  const engine = graphileWorkerEngine(runnerOptions(database.url));
  const tasks = new Tasks(serializer, engine, { signed: { purpose: 'jobs' }, plain: 'refuse' });
  const seen: unknown[] = [];
  const handler = async ({ user, n }: { user: User; n: number }): Promise<void> => void seen.push([user.email, n]);
  const [before, after] = [tasks.define(queueName(), handler), tasks.define(queueName(), handler)];
  const user = database.orm.em.fork().getReference(User, 1);
  await before.schedule('* * * * *', { user, n: 0 });
  await before.schedule('* * * * *', { user, n: 1 });
  await tasks.work();
  await after.schedule('*/1 * * * *', { user, n: 2 });
  // The minute puts all its jobs in at once, and stop() waits for those under way: nothing comes after it.
  await soon(() => seen.length >= 2, 120_000);
  await tasks.stop();
  expect(seen.sort()).toEqual([
    ['ann@example.org', 1],
    ['ann@example.org', 2],
  ]);
}, 180_000);
