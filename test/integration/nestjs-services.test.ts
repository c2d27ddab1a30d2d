import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntityManager, MikroORM, RequestContext } from '@mikro-orm/core';
import { Controller, Get, Inject, Injectable, type INestApplication, type ModuleMetadata } from '@nestjs/common';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { Cached, EntityCache } from 'mikro-orm-byref/cache';
import { Locked, Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { ByReferenceHealth, ByReferenceModule, type ByReferenceModuleOptions } from 'mikro-orm-byref/nestjs';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { freePort } from '../../fixtures/free-port.ts';
import { Author, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { listen, ormModule, start } from '../support/nest.ts';

type Imports = NonNullable<ModuleMetadata['imports']>;

let database: TestOrm;
let apps: INestApplication[];
beforeAll(async () => {
  database = await openDatabase(library);
});
afterAll(() => database.close());
beforeEach(async () => {
  apps = [];
  const em = database.orm.em.fork();
  await em.nativeDelete(Author, {});
  em.create(Author, { id: 1, email: 'ann@old.example' });
  await em.flush();
});
afterEach(async () => {
  for (const app of apps) await app.close();
});

const application = async (byRef: Imports[number], parts: ModuleMetadata = {}): Promise<INestApplication> => {
  const app = await start({ ...parts, imports: [byRef, ormModule(database.url), ...(parts.imports ?? [])] });
  apps.push(app);
  return app;
};

const ways: readonly (readonly [string, (options: ByReferenceModuleOptions) => Imports[number]])[] = [
  ['forRoot', (options) => ByReferenceModule.forRoot(options)],
  ['forRootAsync', (options) => ByReferenceModule.forRootAsync({ useFactory: async () => options })],
];

/** What a service does with them, as it would without Nest. */
@Injectable()
class Reports {
  calls = 0;
  readonly em: EntityManager;
  readonly locks: Locks;
  readonly cache: EntityCache;
  constructor(
    @Inject(EntityManager) em: EntityManager,
    @Inject(Locks) locks: Locks,
    @Inject(EntityCache) cache: EntityCache,
  ) {
    this.em = em;
    this.locks = locks;
    this.cache = cache;
  }

  @Locked({ key: () => 'build', waitMs: 0 })
  async build(work: () => Promise<unknown>): Promise<unknown> {
    return work();
  }

  @Cached({ ttlMs: 60_000 })
  async author(): Promise<Author> {
    this.calls++;
    return this.em.findOneOrFail(Author, 1);
  }
}

describe.each(ways)('Locks and EntityCache of %s', (_name, module) => {
  const options = (): ByReferenceModuleOptions => ({
    locks: postgresLocks,
    cache: () => inMemory(),
    cacheOptions: { singleProcess: true },
  });

  test('can be injected, and serve the decorators', async () => {
    const app = await application(module(options()), { providers: [Reports] });
    const reports = app.get(Reports);
    // Another application, which is another process for all that they know.
    const other = await application(module(options()), { providers: [Reports] });
    const twice = reports.build(() => other.get(Reports).build(async () => 'twice'));
    expect((await failureOf(() => twice)).code).toBe('E_LOCKED');
    expect(await reports.build(async () => 'once')).toBe('once');
    const emailOf = (): Promise<string> =>
      RequestContext.create(app.get(EntityManager), async () => (await reports.author()).email);
    expect([await emailOf(), await emailOf(), reports.calls]).toEqual(['ann@old.example', 'ann@old.example', 1]);
    const em = app.get(EntityManager).fork();
    (await em.findOneOrFail(Author, 1)).email = 'ann@new.example';
    await em.flush();
    expect([await emailOf(), reports.calls]).toEqual(['ann@new.example', 2]);
  });

  test('end with the application: the session of the locks is gone', async () => {
    const app = await application(module(options()));
    const locks = app.get(Locks);
    await locks.run('a key', () => 0);
    await app.close();
    expect((await failureOf(() => locks.run('a key', () => 0))).code).toBe('E_UNSUPPORTED');
  });
});

test('a request that is answered while the application stops still has its locks', async () => {
  const seen: unknown[] = [];
  @Controller()
  class Slow {
    readonly locks: Locks;
    constructor(@Inject(Locks) locks: Locks) {
      this.locks = locks;
    }

    @Get()
    async get(): Promise<string> {
      const closing = app.close();
      await new Promise((resolve) => setTimeout(resolve, 200));
      seen.push(await this.locks.run('late', () => 'locked'));
      void closing;
      return 'done';
    }
  }
  const app = await application(ByReferenceModule.forRoot({ locks: postgresLocks }), { controllers: [Slow] });
  const url = await listen(app);
  const answer = await fetch(url, { headers: { connection: 'close' } });
  expect([await answer.text(), seen]).toEqual(['done', ['locked']]);
  await app.close();
});

test('without what they stand on Nest has none, or they say so when they are used', async () => {
  await expect(application(ByReferenceModule.forRoot(), { providers: [Reports] })).rejects.toThrow(/Locks/);
  const app = await application(ByReferenceModule.forRootAsync({ useFactory: () => ({}) }));
  for (const [use, option] of [
    [() => app.get(Locks).run('a', () => 0), 'locks'],
    [() => app.get(EntityCache).get('a'), 'cache'],
    [() => app.get(EntityCache).stats, 'cache'],
    [() => app.get(Tasks).work(), 'engine'],
  ] as const) {
    const { code, message } = await failureOf(use as () => unknown);
    expect([code, message]).toEqual([
      'E_INVALID_OPTION',
      expect.stringContaining(`option ${option} of ByReferenceModule`),
    ]);
  }
});

test('options are checked', async () => {
  for (const options of [{ locks: {} }, { locks: 'postgres' }, { cache: {} }, { cacheOptions: true }] as never[]) {
    expect((await failureOf(() => ByReferenceModule.forRoot(options))).code).toBe('E_INVALID_OPTION');
  }
  for (const options of [
    { locks: () => ({}) },
    { cache: () => ({}) },
    { cache: () => inMemory(), cacheOptions: { single: true } },
  ] as never[]) {
    expect((await failureOf(() => application(ByReferenceModule.forRoot(options)))).code).toBe('E_INVALID_OPTION');
  }
});

describe('health, by @nestjs/terminus', () => {
  @Controller('health')
  class Health {
    readonly health: HealthCheckService;
    readonly byReference: ByReferenceHealth;
    constructor(
      @Inject(HealthCheckService) health: HealthCheckService,
      @Inject(ByReferenceHealth) byReference: ByReferenceHealth,
    ) {
      this.health = health;
      this.byReference = byReference;
    }

    @Get()
    async get(): Promise<unknown> {
      return this.health.check([() => this.byReference.check('rows', { timeoutMs: 2_000 })]);
    }
  }
  const parts: ModuleMetadata = { imports: [TerminusModule.forRoot({ logger: false })], controllers: [Health] };
  const ask = async (app: INestApplication): Promise<unknown> => {
    const answer = await fetch(`${await listen(app)}/health`, { headers: { connection: 'close' } });
    return [answer.status, ((await answer.json()) as { details: { rows: object } }).details.rows];
  };

  test.each(ways)('%s: it is up, with or without tasks', async (_name, module) => {
    const app = await application(module({}), parts);
    expect(await ask(app)).toEqual([200, { status: 'up', database: 'up' }]);
    const working = await application(module({ engine: inlineEngine(), work: true }), parts);
    working.get(Tasks).define('health', async () => undefined);
    expect(await ask(working)).toEqual([200, { status: 'up', database: 'up', engine: 'up' }]);
  });

  test('an engine that does not answer is down in time', async () => {
    // It goes on for longer than is waited for, and comes to an end.
    const tries = (n: number): number | null => (n < 40 ? 100 : null);
    const connection = {
      host: '127.0.0.1',
      port: await freePort(),
      maxRetriesPerRequest: null,
      retryStrategy: tries,
    };
    const engine = bullmqEngine({ connection });
    const app = await application(ByReferenceModule.forRoot({ engine, tasks: { onError: () => {} } }), parts);
    app.get(Tasks).define('health', async () => undefined);
    expect(await ask(app)).toEqual([503, { status: 'down', database: 'up', engine: 'down' }]);
  });

  test('a database that does not answer is down, and nothing is said of why', async () => {
    const gone = await openDatabase(library);
    const app = await start({
      ...parts,
      imports: [ByReferenceModule.forRoot(), ormModule(gone.url), ...parts.imports!],
    });
    apps.push(app);
    expect(await ask(app)).toEqual([200, { status: 'up', database: 'up' }]);
    await app.get(MikroORM).close(true);
    await gone.close();
    const admin = database.orm.em.fork().getConnection();
    await admin.execute(`drop database if exists "${new URL(gone.url).pathname.slice(1)}" with (force)`);
    const { status, body } = await fetch(`${await app.getUrl()}/health`).then(async (answer) => ({
      status: answer.status,
      body: (await answer.json()) as { details: object },
    }));
    expect([status, body.details]).toEqual([503, { rows: { status: 'down', database: 'down' } }]);
  });

  test('options are checked', async () => {
    const app = await application(ByReferenceModule.forRoot());
    const check = () => app.get(ByReferenceHealth).check('rows', { timeout: 1 } as never);
    expect((await failureOf(check)).code).toBe('E_INVALID_OPTION');
  });
});
