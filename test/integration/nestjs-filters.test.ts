/** A filter that is on by default and needs parameters: who reads rows in Nest gets them first. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { EntityManager, RequestContext } from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { BullModule, getQueueToken, OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type ModuleMetadata,
  type NestModule,
  Param,
  type Type,
  UseInterceptors,
} from '@nestjs/common';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import type { Job, Queue } from 'bullmq';
import { EntitySerializer } from 'mikro-orm-byref';
import { ByReferenceInterceptor, type MessageOptions, messagesByReference } from 'mikro-orm-byref/microservices';
import { ByReferenceModule, type ByReferenceRootOptions, Revive, SignedEntityPipe } from 'mikro-orm-byref/nestjs';
import { inlineEngine, Task, Tasks } from 'mikro-orm-byref/tasks';
import { lastValueFrom } from 'rxjs';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { queueName, until } from '../support/jobs.ts';
import { listen, start } from '../support/nest.ts';
import { clientOf, serve, transportKinds } from '../support/nest-messages.ts';
import { Note, NoteSchema, tenant, tenantContext } from '../support/tenants.ts';
import { testWith } from '../support/test-with.ts';

const signingKeys = ['a secret of at least thirty-two bytes'];
let database: TestOrm;
const running: { close(): unknown }[] = [];
const note = (id: number): Note => database.orm.em.fork().getReference(Note, id);
/** What a handler saw: its row, and the tenant that is served. */
let seen: string[];
const saw = (event: string, { text }: Note): number => seen.push(`${event}: ${text} for ${tenant.getStore()}`);

beforeAll(async () => {
  database = await openDatabase([NoteSchema]);
  const em = database.orm.em.fork();
  em.create(Note, { id: 1, tenant: 'acme', text: 'of acme' });
  em.create(Note, { id: 2, tenant: 'other', text: 'of other' });
  await em.flush();
});
afterAll(() => database.close());
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

const ormModule = () =>
  MikroOrmModule.forRoot({ driver: PostgreSqlDriver, clientUrl: database.url, entities: [NoteSchema] });
async function application(options: ByReferenceRootOptions, parts: ModuleMetadata) {
  seen = [];
  const imports = [ormModule(), ByReferenceModule.forRoot(options), ...(parts.imports ?? [])];
  const app = await start({ ...parts, imports });
  running.push(app);
  return app;
}

testWith('redis-server')('a processor, and the handlers of its events', async () => {
  const name = queueName();
  @Processor(name)
  class Reader extends WorkerHost {
    async process({ data }: Job<{ note: Note }>): Promise<void> {
      saw('process', data.note);
    }

    @OnWorkerEvent('completed')
    @Revive()
    onCompleted({ data }: Job<{ note: Note }>): void {
      saw('completed', data.note);
    }

    @OnWorkerEvent('failed')
    @Revive()
    onFailed({ data }: Job<{ note: Note | null }>): void {
      seen.push(`failed: ${data.note} for ${tenant.getStore()}`);
    }
  }
  const { hostname, port } = new URL(process.env['TEST_REDIS_URL']!);
  const connection = { host: hostname, port: Number(port) };
  const app = await application(
    { jobs: { context: tenantContext, retryMissingForMs: 0 } },
    { imports: [BullModule.forRoot({ connection }), BullModule.registerQueue({ name })], providers: [Reader] },
  );
  const queue = app.get<Queue>(getQueueToken(name));
  await tenant.run('acme', () => queue.add('own', { note: note(1) }));
  await until(() => seen.length === 2);
  await tenant.run('other', () => queue.add('foreign', { note: note(1) }));
  await until(() => seen.length === 3);
  expect(seen).toEqual(['process: of acme for acme', 'completed: of acme for acme', 'failed: null for other']);
});

test('a task', async () => {
  @Injectable()
  class Mails {
    @Task('nest.filtered')
    async send({ note: own }: { note: Note }): Promise<void> {
      saw('task', own);
    }
  }
  const failed: unknown[] = [];
  const app = await application(
    {
      engine: inlineEngine(),
      work: true,
      tasks: { context: tenantContext, onError: ({ error }) => void failed.push((error as { code: string }).code) },
    },
    { providers: [Mails] },
  );
  const { send } = app.get(Tasks).of(Mails);
  await tenant.run('acme', () => send.delay({ note: note(1) }));
  await tenant.run('other', () => send.delay({ note: note(2) }));
  expect(seen).toEqual(['task: of acme for acme', 'task: of other for other']);
  const foreign = await tenant.run('acme', () => send.delay({ note: note(2) }));
  await foreign.cancel();
  expect([failed, seen.length]).toEqual([['E_ENTITY_NOT_FOUND'], 2]);
});

describe('a signed parameter', () => {
  const controllerOf = (pipe: ReturnType<typeof SignedEntityPipe>): Type<unknown> => {
    class Notes {
      get(own: Note): string {
        return own.text;
      }
    }
    Controller('notes')(Notes);
    Get(':token')(Notes.prototype, 'get', Object.getOwnPropertyDescriptor(Notes.prototype, 'get')!);
    Param('token', pipe)(Notes.prototype, 'get', 0);
    return Notes;
  };

  test.each([
    ['', SignedEntityPipe(Note, { purpose: 'read' })],
    [' with authorize', SignedEntityPipe(Note, { purpose: 'read', authorize: () => true })],
  ])('by the parameters of the request’s EntityManager%s', async (_name, pipe) => {
    const notes = controllerOf(pipe);
    // After that of @mikro-orm/nestjs.
    class Tenants implements NestModule {
      readonly em: EntityManager;
      constructor(@Inject(EntityManager) own: EntityManager) {
        this.em = own;
      }

      configure(consumer: MiddlewareConsumer): void {
        const serve = (request: { headers: Record<string, string> }, _response: unknown, next: () => void): void => {
          this.em.setFilterParams('tenant', { tenant: request.headers['x-tenant'] });
          next();
        };
        consumer.apply(serve).forRoutes(notes);
      }
    }
    Module({ controllers: [notes] })(Tenants);
    const app = await application({ serializer: { signingKeys } }, { imports: [Tenants] });
    const url = await listen(app);
    const token = app.get(EntitySerializer).sign(note(1), { purpose: 'read', expiresAt: null });
    const get = async (name: string): Promise<unknown> => {
      const answer = await fetch(`${url}/notes/${token}`, { headers: { 'x-tenant': name, connection: 'close' } });
      return [answer.status, answer.status === 200 ? await answer.text() : ''];
    };
    expect([await get('acme'), await get('other')]).toEqual([
      [200, 'of acme'],
      [404, ''],
    ]);
  });
});

describe.each(transportKinds)('a message over $name', ({ needs, open }) => {
  const context: MessageOptions = { context: tenantContext };

  testWith(...needs)('by the context that it was sent in', async () => {
    seen = [];
    const pattern = queueName();
    @Controller()
    @UseInterceptors(ByReferenceInterceptor)
    class Notes {
      @MessagePattern(pattern)
      ask({ note: own }: { note: Note }): Note {
        saw('request', own);
        return own;
      }

      @EventPattern<string>(`${pattern}-event`)
      hear({ note: own }: { note: Note }): void {
        saw('event', own);
      }
    }
    const side = await open();
    const imports = [ormModule(), ByReferenceModule.forRoot()];
    running.push(await serve({ imports, controllers: [Notes] }, side, context));
    const { client: pair } = messagesByReference(new EntitySerializer(database.orm), context);
    const client = clientOf(side, pair);
    running.push(client);
    const ask = (name: string): Promise<Note> =>
      RequestContext.create(database.orm.em, () => {
        database.orm.em.setFilterParams('tenant', { tenant: name });
        return tenant.run(name, () => lastValueFrom(client.send<Note>(pattern, { note: note(1) })));
      });
    expect((await ask('acme')).text).toBe('of acme');
    await expect(ask('other')).rejects.toMatchObject({ code: 'E_ENTITY_NOT_FOUND' });
    await tenant.run('other', () =>
      lastValueFrom(client.emit(`${pattern}-event`, { note: note(2) }), { defaultValue: 0 }),
    );
    await until(() => seen.length === 2);
    expect(seen).toEqual(['request: of acme for acme', 'event: of other for other']);
  });
});
