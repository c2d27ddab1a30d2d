/**
 * `node nest-terminated.ts <database url> <redis url> first|last`: an application that is told to end while a job and a
 * request are under way, and says in which order what ends; where ByReferenceModule is imported is the last argument.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EntityManager, MikroORM } from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Controller, Get, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Job, Queue } from 'bullmq';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';

const [clientUrl, redisUrl, place] = process.argv.slice(2) as [string, string, 'first' | 'last'];
const { hostname, port } = new URL(redisUrl);
const connection = { host: hostname, port: Number(port) };
const mails = `mails-${process.pid}`;

const begun: string[] = [];
const hasBegun = async (count: number): Promise<void> => {
  while (begun.length < count) await sleep(20);
};

/** Reads the row once more, under a lock, after a while. */
async function work(what: string, em: EntityManager, locks: Locks, user: User): Promise<void> {
  begun.push(what);
  await sleep(500);
  await locks.run(user, () => em.refresh(user));
  console.log(`${what} has ended: ${user.email}`);
}

class Mailer extends WorkerHost {
  readonly em: EntityManager;
  readonly locks: Locks;
  constructor(em: EntityManager, locks: Locks) {
    super();
    this.em = em;
    this.locks = locks;
  }

  process({ data }: Job<{ user: User }>): Promise<void> {
    return work('the processor', this.em, this.locks, data.user);
  }
}
Processor(mails)(Mailer);
Inject(EntityManager)(Mailer, undefined, 0);
Inject(Locks)(Mailer, undefined, 1);

class Slow {
  readonly em: EntityManager;
  readonly locks: Locks;
  readonly tasks: Tasks;
  constructor(em: EntityManager, locks: Locks, tasks: Tasks) {
    this.em = em;
    this.locks = locks;
    this.tasks = tasks;
    tasks.define(`remind-${process.pid}`, async ({ user }: { user: User }, job) =>
      work('the task', job.em, locks, user),
    );
  }

  async get(): Promise<string> {
    const user = await this.em.findOneOrFail(User, 1);
    await work('the request', this.em, this.locks, user);
    await this.tasks.declare<{ user: User }>(`later-${process.pid}`).delay({ user });
    return 'answered';
  }
}
Controller()(Slow);
Get()(Slow.prototype, 'get', Object.getOwnPropertyDescriptor(Slow.prototype, 'get')!);
[EntityManager, Locks, Tasks].forEach((token, index) => Inject(token)(Slow, undefined, index));

const byReference = ByReferenceModule.forRoot({
  engine: bullmqEngine({ connection }),
  locks: postgresLocks,
  work: true,
});
const imports = [
  MikroOrmModule.forRoot({ driver: PostgreSqlDriver, clientUrl, entities: domain }),
  BullModule.forRoot({ connection }),
  BullModule.registerQueue({ name: mails }),
];
class Root {}
Module({
  imports: place === 'first' ? [byReference, ...imports] : [...imports, byReference],
  controllers: [Slow],
  providers: [Mailer],
})(Root);

const app = await NestFactory.create(Root, { logger: ['warn', 'error'] });
app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');

/** Says when a method has been called. */
function telling(what: string, target: object, name: string): void {
  const methods = target as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const own = methods[name]!;
  methods[name] = async (...args) => {
    const result = await own.apply(target, args);
    console.log(what);
    return result;
  };
}
telling('the tasks have stopped', app.get(Tasks), 'stop');
telling('the locks are closed', app.get(Locks), 'close');
telling('the ORM is closed', app.get(MikroORM), 'close');

const user = await app.get(EntityManager).fork().findOneOrFail(User, 1);
await (app.get(getQueueToken(mails)) as Queue).add('x', { user });
await app.get(Tasks).declare<{ user: User }>(`remind-${process.pid}`).delay({ user });
await hasBegun(2);
void fetch(await app.getUrl(), { headers: { connection: 'close' } }).then(async (answer) =>
  console.log(await answer.text()),
);
await hasBegun(3);
process.kill(process.pid, 'SIGTERM');
