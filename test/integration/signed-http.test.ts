import { type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type AnyEntity, RequestContext } from '@mikro-orm/core';
import { Controller, Get, type INestApplication, Param, Query } from '@nestjs/common';
import express from 'express';
import fastify from 'fastify';
import { EntitySerializer } from 'mikro-orm-byref';
import { signedEntity, type SignedEntityOptions } from 'mikro-orm-byref/http';
import { ByReferenceModule, SignedEntityPipe } from 'mikro-orm-byref/nestjs';
import { Author, Book, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { listen, ormModule, start } from '../support/nest.ts';

const purpose = 'unsubscribe';
const secrets = { signingKeys: ['a secret of at least thirty-two bytes'] };
type Headers = { readonly headers: Readonly<Record<string, unknown>> };
/** Only to whom it belongs. */
const authorize = (author: AnyEntity, request: Headers): boolean =>
  request.headers['x-author'] === String(author['id']);

let database: TestOrm;
let serializer: EntitySerializer;
let now = Date.now();
const clock = (): number => now;
beforeAll(async () => {
  database = await openDatabase(library);
  serializer = new EntitySerializer(database.orm, { ...secrets, clock });
});
afterAll(() => database.close());
beforeEach(async () => {
  now = Date.now();
  const em = database.orm.em.fork();
  await em.nativeDelete(Book, {});
  await em.nativeDelete(Author, {});
  const author = em.create(Author, { id: 1, email: 'ann@old.example' });
  em.create(Book, { id: 1n, title: 'One', printedAt: new Date(0), author });
  await em.flush();
});

/** Servers with `/link/:token`, `/query?token=` and `/own/:token`, which answer with the row, or as they answer errors. */
interface Served {
  readonly url: string;
  close(): Promise<unknown>;
}

const answerOf = (author: Author): object => ({
  email: author.email,
  isManaged: RequestContext.getEntityManager()!.getReference(Author, 1) === author,
});

async function serveNest(): Promise<Served> {
  @Controller()
  class Links {
    @Get('link/:token')
    link(@Param('token', SignedEntityPipe(Author, { purpose })) author: Author): object {
      return answerOf(author);
    }

    @Get('query')
    query(@Query('token', SignedEntityPipe(Author, { purpose })) author: Author): object {
      return answerOf(author);
    }

    @Get('own/:token')
    own(@Param('token', SignedEntityPipe(Author, { purpose, authorize })) author: Author): object {
      return answerOf(author);
    }
  }
  const app: INestApplication = await start({
    imports: [ormModule(database.url), ByReferenceModule.forRoot({ serializer: { ...secrets, clock } })],
    controllers: [Links],
  });
  return { url: await listen(app), close: () => app.close() };
}

async function serveExpress(): Promise<Served> {
  const author = signedEntity(serializer, Author, { purpose });
  const own = signedEntity(serializer, Author, { purpose, authorize });
  const app = express();
  app.set('env', 'test');
  app.use((_request, _response, next) => RequestContext.create(database.orm.em, next));
  app.get('/link/:token', async (request, response) => {
    response.json(answerOf(await author(request.params.token, request)));
  });
  app.get('/query', async (request, response) => {
    response.json(answerOf(await author(request.query['token'], request)));
  });
  app.get('/own/:token', async (request, response) => {
    response.json(answerOf(await own(request.params.token, request)));
  });
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((resolve) => server.close(resolve)) };
}

async function serveFastify(): Promise<Served> {
  const author = signedEntity(serializer, Author, { purpose });
  const own = signedEntity(serializer, Author, { purpose, authorize });
  const app = fastify();
  app.addHook('onRequest', (_request, _reply, done) => RequestContext.create(database.orm.em, done));
  app.get<{ Params: { token: string } }>('/link/:token', async (request) =>
    answerOf(await author(request.params.token, request)),
  );
  app.get<{ Querystring: { token?: unknown } }>('/query', async (request) =>
    answerOf(await author(request.query.token, request)),
  );
  app.get<{ Params: { token: string } }>('/own/:token', async (request) =>
    answerOf(await own(request.params.token, request)),
  );
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close() };
}

describe.each([
  ['Nest', serveNest],
  ['Express', serveExpress],
  ['Fastify', serveFastify],
] as const)('a signed parameter with %s', (name, serve) => {
  let served: Served;
  beforeEach(async () => {
    served = await serve();
  });
  afterEach(() => served.close());

  const get = async (path: string, headers: Record<string, string> = {}): Promise<readonly [number, string]> => {
    const answer = await fetch(served.url + path, { headers: { ...headers, connection: 'close' } });
    return [answer.status, await answer.text()];
  };
  const ann = (): Promise<Author> => database.orm.em.fork().findOneOrFail(Author, 1);
  const link = async (of = purpose): Promise<string> =>
    serializer.sign(await ann(), { purpose: of, expiresInMs: 60_000 });

  test('is the row of now, in the request’s EntityManager', async () => {
    const token = await link();
    await database.orm.em.fork().nativeUpdate(Author, 1, { email: 'ann@new.example' });
    const found = [200, JSON.stringify({ email: 'ann@new.example', isManaged: true })];
    expect(await get(`/link/${token}`)).toEqual(found);
    expect(await get(`/query?token=${token}`)).toEqual(found);
  });

  test('is 403 where it can’t be trusted, before any query, and says no more', async () => {
    const token = await link();
    const book = await database.orm.em.fork().findOneOrFail(Book, 1n);
    const wrong = [
      `/link/${await link('password-reset')}`,
      `/link/${token.slice(0, -2)}xx`,
      `/link/${serializer.sign(book, { purpose, expiresInMs: 60_000 })}`,
      '/link/1',
      '/query',
      `/query?token=${token}&token=${token}`,
      `/query?token[a]=${token}`,
    ];
    database.statements.length = 0;
    for (const path of wrong) {
      const [status, body] = await get(path);
      expect([path, status]).toEqual([path, 403]);
      expect(body).toContain('Forbidden');
      if (name !== 'Express') expect(body).not.toMatch(/signature|E_/);
    }
    now += 60_001;
    expect((await get(`/link/${token}`))[0]).toBe(403);
    expect(database.statements).toEqual([]);
  });

  test('is 404 where the row is gone, or is not for this request', async () => {
    const token = await link();
    expect(await get(`/own/${token}`, { 'x-author': '1' })).toEqual([200, expect.stringContaining('ann@old.example')]);
    const [status, body] = await get(`/own/${token}`, { 'x-author': '2' });
    await database.orm.em.fork().nativeDelete(Book, {});
    await database.orm.em.fork().nativeDelete(Author, 1);
    expect([status, body]).toEqual([404, expect.stringContaining('Not Found')]);
    expect((await get(`/link/${token}`))[0]).toBe(404);
  });
});

test('a mistake of the program’s is no client’s: it passes through', async () => {
  const author = signedEntity(serializer, Author, { purpose });
  const token = serializer.sign(await database.orm.em.fork().findOneOrFail(Author, 1), { purpose, expiresAt: null });
  // No request context.
  expect((await failureOf(() => author(token, {}))).code).toBe('E_INVALID_OPTION');
});

test('options are checked where the reader is made, and where the application starts', async () => {
  const wrong: readonly SignedEntityOptions[] = [
    { purpose: '' },
    {} as never,
    undefined as never,
    { purpose, populate: { Nobody: [] } },
    { purpose, authorise: () => true } as never,
    { purpose, authorize: true as never },
    { purpose, missing: 'null' } as never,
  ];
  for (const options of wrong) {
    expect(await failureOf(() => signedEntity(serializer, Author, options))).toMatchObject({
      code: 'E_INVALID_OPTION',
    });
  }
  const unsigned = new EntitySerializer(database.orm);
  expect((await failureOf(() => signedEntity(unsigned, Author, { purpose }))).code).toBe('E_INVALID_OPTION');

  @Controller()
  class Links {
    @Get('link/:token')
    link(@Param('token', SignedEntityPipe(Author, { purpose })) author: Author): string {
      return author.email;
    }
  }
  const imports = [ormModule(database.url), ByReferenceModule.forRoot()];
  expect((await failureOf(() => start({ imports, controllers: [Links] }))).code).toBe('E_INVALID_OPTION');
});
