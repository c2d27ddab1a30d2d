/** `node bullmq-worker.ts <Redis | PostgreSQL> <database url> <queue>`: works a transactional task there, and dies in its first job. */
import { type EntityManager } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';
import { storeKinds } from './bullmq.ts';

const [kind, clientUrl, queue] = process.argv.slice(2) as [string, string, string];
const orm = makeOrm({ entities: domain, clientUrl });
const store = await storeKinds()
  .find(({ name }) => name === kind)!
  .open(clientUrl);
const engine = bullmqEngine({
  connection: store.connection,
  ...(store.backend[0] && { backend: store.backend[0] }),
  worker: { lockDuration: 1_000, stalledInterval: 1_000 },
});
const tasks = new Tasks(new EntitySerializer(orm), engine);
tasks.define(
  queue,
  async ({ user }: { user: User }, { em }: { em: EntityManager }) => {
    em.create(Post, { id: 77, title: 'half done', body: '', author: user });
    await em.flush();
    process.kill(process.pid, 'SIGKILL');
  },
  { transactional: engine.isTransactional },
);
await tasks.work();
