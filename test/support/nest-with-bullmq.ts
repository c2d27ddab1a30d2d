/** `node nest-with-bullmq.ts <database url> <redis url>`: an application that runs a job, closes, and ends by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EntityManager } from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Job, Queue } from 'bullmq';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain, User } from '../../fixtures/domain.ts';

const [clientUrl, redisUrl] = process.argv.slice(2) as [string, string];
const { hostname, port } = new URL(redisUrl);
const connection = { host: hostname, port: Number(port) };
const seen: string[] = [];

class Mailer extends WorkerHost {
  async process({ data }: Job<{ user: User }>): Promise<void> {
    seen.push(`processor ${data.user.email}`);
  }
}
Processor(`mails-${process.pid}`)(Mailer);

class Root {}
Module({
  imports: [
    MikroOrmModule.forRoot({ driver: PostgreSqlDriver, clientUrl, entities: domain }),
    BullModule.forRoot({ connection }),
    BullModule.registerQueue({ name: `mails-${process.pid}` }),
    ByReferenceModule.forRoot({ engine: bullmqEngine({ connection }), work: true }),
  ],
  providers: [Mailer],
})(Root);

const app = await NestFactory.createApplicationContext(Root, { logger: false });
const tasks = app.get(Tasks);
const remind = tasks.define(`remind-${process.pid}`, async ({ user }: { user: User }) => {
  seen.push(`task ${user.email}`);
});
await tasks.work();
const user = await app.get(EntityManager).fork().findOneOrFail(User, 1);
await (app.get(getQueueToken(`mails-${process.pid}`)) as Queue).add('x', { user });
await remind.delay({ user });
while (seen.length < 2) await sleep(20);
await app.close();
console.log(seen.sort().join(', '));
