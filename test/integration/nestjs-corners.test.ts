import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { EntityManager } from '@mikro-orm/core';
import { BullModule, getQueueToken } from '@nestjs/bullmq';
import {
  Controller,
  Get,
  Injectable,
  Module,
  type INestApplication,
  type ModuleMetadata,
  Scope,
  Inject,
} from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Queue } from 'bullmq';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locked, Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { MikroORM } from '@mikro-orm/core';
import { Author, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { storeKinds } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { queueName } from '../support/jobs.ts';
import { listen, ormModule, start } from '../support/nest.ts';
import { describeWith } from '../support/test-with.ts';

const redis = storeKinds().find(({ name }) => name === 'Redis')!;

describeWith('redis-server')('Nest with Redis', () => {
  let connection: { host: string; port: number };
  let database: TestOrm;
  const running: { close(): Promise<unknown> }[] = [];
  beforeAll(async () => {
    database = await openDatabase(library);
    connection = (await redis.open(database.url)).connection as never;
    const em = database.orm.em.fork();
    em.create(Author, { id: 1, email: 'ann@example.org' });
    await em.flush();
  });
  afterEach(async () => {
    for (const one of running.splice(0).toReversed()) await one.close();
  });
  afterAll(() => database.close());
  const application = async (parts: ModuleMetadata): Promise<INestApplication> => {
    const app = await start({
      ...parts,
      imports: [
        ormModule(database.url),
        BullModule.forRoot({ connection }),
        ByReferenceModule.forRoot(),
        ...(parts.imports ?? []),
      ],
    });
    running.push(app);
    return app;
  };
  const stored = async (name: string, id: string): Promise<unknown> => {
    const queue = new Queue(name, { connection });
    running.push(queue);
    return (await queue.getJob(id))!.data as unknown;
  };

  test('a queue of a lazily loaded module writes tokens', async () => {
    const name = queueName();
    const app = await application({ imports: [BullModule.registerQueue({ name: queueName() })] });
    class Lazy {}
    Module({ imports: [BullModule.registerQueue({ name })], exports: [BullModule] })(Lazy);
    const ref = await app.get(LazyModuleLoader).load(() => Lazy);
    const queue = ref.get<Queue>(getQueueToken(name), { strict: false });
    running.push(queue);
    const author = await app.get(EntityManager).fork().findOneOrFail(Author, 1);
    const job = await queue.add('x', { author });
    expect(await stored(name, job.id!)).toMatchObject({ $byref: 1, data: { author: { $entity: ['Author', 1] } } });
  });

  test('a queue whose options are made per request is refused', async () => {
    const name = queueName();
    class Tenant {
      prefix = 'bull';
    }
    Injectable({ scope: Scope.REQUEST })(Tenant);
    class TenantModule {}
    Module({ providers: [Tenant], exports: [Tenant] })(TenantModule);
    class Ctl {
      constructor(
        readonly queue: Queue,
        readonly em: EntityManager,
      ) {}
      async go() {
        const job = await this.queue.add('x', { author: await this.em.findOneOrFail(Author, 1) });
        running.push(this.queue);
        return { id: job.id };
      }
    }
    Inject(getQueueToken(name))(Ctl, undefined as never, 0);
    Inject(EntityManager)(Ctl, undefined as never, 1);
    Controller()(Ctl);
    Get('/go')(Ctl.prototype, 'go', Object.getOwnPropertyDescriptor(Ctl.prototype, 'go')!);
    const queue = BullModule.registerQueueAsync({
      name,
      imports: [TenantModule],
      inject: [Tenant],
      useFactory: (tenant: Tenant) => ({ connection, prefix: tenant.prefix }),
    });
    await expect(application({ imports: [queue], controllers: [Ctl] })).rejects.toThrow(/made per request/);
  });

  test('@Locked keeps what Nest’s decorators below it have said', async () => {
    @Controller()
    class Reports {
      readonly locks: Locks;
      constructor(@Inject(MikroORM) orm: MikroORM) {
        this.locks = new Locks(new EntitySerializer(orm), postgresLocks(orm));
        running.push(this.locks as never);
      }
      @Get('/above')
      @Locked()
      async above(): Promise<string> {
        return 'ok';
      }
      @Locked()
      @Get('/below')
      async below(): Promise<string> {
        return 'ok';
      }
    }
    const app = await application({ controllers: [Reports] });
    const url = await listen(app);
    const status = async (path: string) => (await fetch(`${url}${path}`)).status;
    expect([await status('/above'), await status('/below')]).toEqual([200, 200]);
  });
});
