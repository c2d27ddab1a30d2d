/** `node dies-in-graphile-task.ts <url>`: works the queue `bill`, writes in its transaction, says so, and never ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EntitySerializer } from 'mikro-orm-byref';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';
import { runnerOptions } from './graphile-worker.ts';

const clientUrl = process.argv[2]!;
const orm = makeOrm({ entities: domain, clientUrl });
const tasks = new Tasks(new EntitySerializer(orm), graphileWorkerEngine(runnerOptions(clientUrl)));
tasks.define(
  'bill',
  async ({ n }: { n: number }, { em }) => {
    em.create(User, { id: n, name: 'Half', email: 'half@example.org' });
    await em.flush();
    console.log('written');
    await sleep(60_000);
  },
  { transactional: true },
);
await tasks.work();
