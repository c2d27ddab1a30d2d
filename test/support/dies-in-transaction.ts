/** `node dies-in-transaction.ts <url>`: writes a row and enqueues a job for it, says the job's id, and never commits. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import { EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';

const clientUrl = process.argv[2]!;
const orm = makeOrm({ entities: domain, clientUrl });
const boss = await new PgBoss({ connectionString: clientUrl, supervise: false, schedule: false }).start();
const task = new Tasks(new EntitySerializer(orm), pgBossEngine(boss)).define(
  'half-way',
  async (_args: { user: User }) => undefined,
);
await orm.em.fork().transactional(async (em) => {
  const user = em.create(User, { id: 99, name: 'Half', email: 'h@example.org' });
  await em.flush();
  console.log((await task.delay({ user })).id);
  await sleep(60_000);
});
