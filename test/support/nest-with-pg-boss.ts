/** `node nest-with-pg-boss.ts <database url>`, where neither bullmq nor @nestjs/bullmq is installed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EntityManager, EntitySchema } from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { PgBoss } from 'pg-boss';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { Tasks } from 'mikro-orm-byref/tasks';

const clientUrl = process.argv[2]!;
class Author {
  declare id: number;
  declare email: string;
}
const AuthorSchema = new EntitySchema<Author>({
  class: Author,
  properties: { id: { type: 'number', primary: true }, email: { type: 'string' } },
});

class Boss {}
Module({
  providers: [
    { provide: PgBoss, useFactory: () => new PgBoss({ connectionString: clientUrl, supervise: false }).start() },
  ],
  exports: [PgBoss],
})(Boss);

class Root {}
Module({
  imports: [
    ByReferenceModule.forRootAsync({
      imports: [Boss],
      inject: [PgBoss],
      useFactory: (boss: PgBoss) => ({ engine: pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }) }),
    }),
    MikroOrmModule.forRoot({ driver: PostgreSqlDriver, clientUrl, entities: [AuthorSchema] }),
  ],
})(Root);

const app = await NestFactory.createApplicationContext(Root, { logger: false });
const tasks = app.get(Tasks);
const seen: string[] = [];
const remind = tasks.define('remind', async ({ author }: { author: Author }) => void seen.push(author.email));
await app
  .get(EntityManager)
  .fork()
  .transactional(async (em) => {
    await remind.delay({ author: await em.findOneOrFail(Author, 1) });
  });
await tasks.work();
while (seen.length === 0) await sleep(20);
await app.close();
await app.get(PgBoss).stop();
console.log(seen.join());
