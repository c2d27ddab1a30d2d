import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntityManager, RequestContext } from '@mikro-orm/core';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Inject,
  Scope,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { type ClientProxy, EventPattern, MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import { EntitySerializer } from 'mikro-orm-byref';
import { ByReferenceInterceptor, type MessageOptions, messagesByReference } from 'mikro-orm-byref/microservices';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { concatMap, firstValueFrom, from, lastValueFrom, type Observable, of, timeout, toArray } from 'rxjs';
import { Author, Book, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { queueName, until } from '../support/jobs.ts';
import { ormModule } from '../support/nest.ts';
import { clientOf, serve, transportKinds } from '../support/nest-messages.ts';
import { describeWith } from '../support/test-with.ts';

let database: TestOrm;
const running: { close(): unknown }[] = [];
const em = (): EntityManager => database.orm.em.fork();
const ann = (own = em()): Promise<Author> => own.findOneOrFail(Author, 1);
const signingKeys = ['a secret of at least thirty-two bytes'];

beforeAll(async () => {
  database = await openDatabase(library);
});
afterAll(() => database.close());
beforeEach(async () => {
  await em().getConnection().execute('truncate "author" cascade');
  await em().insertMany(Author, [
    { id: 1, email: 'ann@old.example', password: 'hunter2' },
    { id: 2, email: 'bob@example.org', password: 'hunter2' },
  ]);
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

/** Of handlers that get the current rows, and have the EntityManager that those are of. */
@Controller()
@UseInterceptors(ByReferenceInterceptor)
class OwnController {
  @Inject(EntityManager) readonly em!: EntityManager;
}

/** As in a request of the client's own process. */
const inRequest = <T>(run: () => Promise<T>): Promise<T> => RequestContext.create(database.orm.em, run);
/** What a call ends with where it fails. */
const refusalOf = (answer: Observable<unknown>): Promise<unknown> =>
  lastValueFrom(answer).then(
    (value) => Promise.reject(new Error(`expected a failure, got ${JSON.stringify(value)}`)),
    (error: unknown) => error,
  );

for (const { name, needs, open } of transportKinds) {
  describeWith(...needs)(`Messages over ${name}`, () => {
    /** A server with the controller, and clients for it, null for one without the pair; what they write is in `written`. */
    async function start(controller: Type<unknown>, options: MessageOptions = {}) {
      const side = await open();
      const imports = [ormModule(database.url), ByReferenceModule.forRoot({ serializer: { signingKeys } })];
      running.push(await serve({ imports, controllers: [controller] }, side, options));
      const serializer = new EntitySerializer(database.orm, { signingKeys });
      const written: string[] = [];
      const connect = (own: MessageOptions | null): ClientProxy => {
        const pair = own === null ? undefined : messagesByReference(serializer, own).client;
        const serialize = (packet: never): unknown => {
          const out: unknown = pair!.serializer.serialize(packet);
          written.push(JSON.stringify(out));
          return out;
        };
        const client = clientOf(side, pair && { ...pair, serializer: { serialize } });
        running.push(client);
        return client;
      };
      return { client: connect(options), connect, written };
    }

    test('a request and its reply hold the rows of now, each in its own side’s EntityManager', async () => {
      const pattern = { cmd: queueName() };
      class Authors extends OwnController {
        @MessagePattern(pattern)
        async rename(@Payload() { author, email }: { author: Author; email: string }): Promise<unknown> {
          const isManaged = this.em.getReference(Author, author.id) === author;
          const was = author.email;
          author.email = email;
          await this.em.flush();
          return { was, isManaged, author, at: new Date(0) };
        }
      }
      const { client, written } = await start(Authors);
      await inRequest(async () => {
        const author = await database.orm.em.findOneOrFail(Author, 1);
        await em().nativeUpdate(Author, { id: 1 }, { email: 'ann@now.example' });
        const reply = await lastValueFrom(client.send(pattern, { author, email: 'ann@new.example' }));
        expect(reply).toEqual({ was: 'ann@now.example', isManaged: true, author, at: new Date(0) });
        expect([reply.author === author, author.email]).toEqual([true, 'ann@new.example']);
      });
      expect(JSON.parse(written[0]!).data).toEqual({
        $byref: 1,
        data: { author: { $entity: ['Author', 1] }, email: 'ann@new.example' },
      });
    });

    test('an event has the rows of now, for each of its handlers in an EntityManager of its own', async () => {
      const pattern = queueName();
      const seen: unknown[] = [];
      const isOver = Promise.withResolvers<void>();
      class Listener extends OwnController {
        @EventPattern<string>(pattern)
        async first(@Payload('author') author: Author): Promise<void> {
          await isOver.promise;
          seen.push(['first', author, this.em.getReference(Author, 1) === author]);
        }

        @EventPattern<string>(pattern)
        second({ author }: { author: Author }): void {
          seen.push(['second', author, this.em.getReference(Author, 1) === author]);
          isOver.resolve();
        }
      }
      const { client, written } = await start(Listener);
      const author = await ann();
      await em().nativeUpdate(Author, { id: 1 }, { email: 'ann@now.example' });
      client.emit(pattern, { author });
      await until(() => seen.length === 2);
      const [own, other] = (seen as [string, Author, boolean][]).map(([, one]) => one);
      expect(seen).toEqual([
        ['second', expect.objectContaining({ email: 'ann@now.example' }), true],
        ['first', expect.objectContaining({ email: 'ann@now.example' }), true],
      ]);
      expect(own).not.toBe(other);
      expect(written.join()).not.toContain('example');
    });

    test('a reply is read in the request that asked, whoever has opened the connection', async () => {
      const pattern = queueName();
      class Authors extends OwnController {
        @MessagePattern(pattern)
        async find(id: number): Promise<Author> {
          if (id === 1) await sleep(100);
          return this.em.findOneOrFail(Author, id);
        }
      }
      const { client } = await start(Authors);
      const ask = (id: number): Promise<unknown> =>
        inRequest(async () => {
          const author = await lastValueFrom(client.send<Author>(pattern, id));
          return [author.id, database.orm.em.getReference(Author, id) === author, RequestContext.getEntityManager()];
        });
      const asked = (await Promise.all([ask(1), ask(2), ask(1)])) as [number, boolean, EntityManager][];
      expect(asked.map(([id, isOwn]) => [id, isOwn])).toEqual([
        [1, true],
        [2, true],
        [1, true],
      ]);
      expect(new Set(asked.map(([, , own]) => own)).size).toBe(3);
      // And in a transaction, whose row is not that of others.
      await em().transactional(async (own) => {
        await own.nativeUpdate(Author, { id: 2 }, { email: 'bob@transaction.example' });
        const author = await lastValueFrom(client.send<Author>(pattern, 2));
        expect([author.email, own.getReference(Author, 2) === author]).toEqual(['bob@transaction.example', true]);
      });
      expect(await refusalOf(client.send(pattern, 2))).toMatchObject({ code: 'E_INVALID_OPTION' });
    });

    test('a stream of replies comes in its order, and ends after the last', async () => {
      const pattern = queueName();
      class Authors extends OwnController {
        @MessagePattern(pattern)
        list(): Observable<unknown> {
          const steps = [1, 'plain', 2, 1];
          return from(steps).pipe(
            concatMap((step) => (typeof step === 'string' ? of(step) : from(this.em.findOneOrFail(Author, step)))),
          );
        }
      }
      const { client } = await start(Authors);
      const replies = await inRequest(() => lastValueFrom(client.send(pattern, {}).pipe(toArray())));
      expect(replies.map((reply) => (reply as Author).id ?? reply)).toEqual([1, 'plain', 2, 1]);
    });

    describe('what can’t be read', () => {
      const pattern = queueName();
      let seen: unknown[];
      beforeEach(() => {
        seen = [];
      });
      @Controller()
      @UseInterceptors(ByReferenceInterceptor)
      class Listener {
        @MessagePattern(pattern)
        ask(data: unknown): string {
          seen.push(data);
          return 'answered';
        }

        @EventPattern<string>(`${pattern}-event`)
        hear(data: unknown): void {
          seen.push(data);
        }
      }

      test('is an error of the client’s: a row that is gone', async () => {
        const { client } = await start(Listener);
        const author = await ann();
        await em().nativeDelete(Author, { id: 1 });
        expect(await refusalOf(client.send(pattern, { author }))).toEqual({
          status: 'error',
          code: 'E_ENTITY_NOT_FOUND',
          message: expect.stringContaining('Author'),
          retryable: false,
        });
        await lastValueFrom(client.emit(`${pattern}-event`, { author }), { defaultValue: undefined });
        await lastValueFrom(client.emit(`${pattern}-event`, { no: 'rows' }), { defaultValue: undefined });
        await until(() => seen.length > 0);
        expect(seen).toEqual([{ no: 'rows' }]);
      });

      test('or null, where the options say so', async () => {
        const { client } = await start(Listener, { missing: 'null' });
        const author = await ann();
        await em().nativeDelete(Author, { id: 1 });
        expect(await lastValueFrom(client.send(pattern, { author }))).toBe('answered');
        expect(seen).toEqual([{ author: null }]);
      });

      test('a model that is not admitted', async () => {
        const { client } = await start(Listener, { only: [Book] });
        expect(await refusalOf(client.send(pattern, { author: await ann() }))).toMatchObject({
          code: 'E_MODEL_NOT_ALLOWED',
        });
        expect(await lastValueFrom(client.send(pattern, { no: 'rows' }))).toBe('answered');
      });

      test('what is not signed, or for another pattern', async () => {
        const signed = { purpose: 'messages' };
        const { client, connect, written } = await start(Listener, { signed });
        const author = await ann();
        expect(await inRequest(() => lastValueFrom(client.send(pattern, { author })))).toBe('answered');
        expect(seen).toEqual([{ author: expect.objectContaining({ email: 'ann@old.example' }) }]);

        expect(await refusalOf(connect({}).send(pattern, { author }))).toMatchObject({ code: 'E_BAD_SIGNATURE' });
        const plain = connect(null);
        const { data } = JSON.parse(written[0]!) as { data: object };
        expect(await refusalOf(plain.send(pattern, { author: 1 }))).toMatchObject({ code: 'E_BAD_SIGNATURE' });
        // As it was sent, it is taken, and its reply is signed as well; for another pattern it is not.
        expect(await lastValueFrom(plain.send(pattern, data))).toMatchObject({
          data: 'answered',
          signature: expect.any(String),
        });
        plain.emit(`${pattern}-event`, data);
        client.emit(`${pattern}-event`, 'the last');
        await until(() => seen.includes('the last'));
        expect(seen).toHaveLength(3);
      });

      if (name === 'Redis') {
        test('what comes by another channel than that of its pattern', async () => {
          const signed = { purpose: 'messages' };
          const { client, connect, written } = await start(Listener, { signed });
          expect(await lastValueFrom(client.send(pattern, 'for this one'))).toBe('answered');
          const { data } = JSON.parse(written[0]!) as { data: object };
          const forger = connect(null);
          Object.assign(forger, { serializer: { serialize: () => ({ pattern, data }) } });
          await lastValueFrom(forger.emit(`${pattern}-event`, {}), { defaultValue: undefined });
          client.emit(`${pattern}-event`, 'the last');
          await until(() => seen.includes('the last'));
          expect(seen).toEqual(['for this one', 'the last']);
        });
      }

      test('a reply that nobody has signed, or for another message', async () => {
        const { connect } = await start(Listener);
        const client = connect({ signed: { purpose: 'messages' } });
        expect(await refusalOf(client.send(pattern, {}))).toMatchObject({ code: 'E_BAD_SIGNATURE' });
      });
    });

    test('what can’t be written is an error of the client’s, of a message and of a reply', async () => {
      const pattern = queueName();
      @Controller()
      @UseInterceptors(ByReferenceInterceptor)
      class Authors {
        @MessagePattern(pattern)
        make(): unknown {
          return { author: Object.assign(new Author(), { id: 9 }) };
        }

        @MessagePattern(`${pattern}-own`)
        fail(): never {
          throw new RpcException({ status: 'error', code: 'OF_ITS_OWN' });
        }
      }
      const { client } = await start(Authors);
      const unsaved = Object.assign(new Author(), { id: 9 });
      expect(await refusalOf(client.send(pattern, { unsaved }))).toMatchObject({ code: 'E_UNPERSISTED' });
      expect(await refusalOf(client.emit(pattern, { unsaved }))).toMatchObject({ code: 'E_UNPERSISTED' });
      expect(await refusalOf(client.send(pattern, {}))).toMatchObject({ status: 'error', code: 'E_UNPERSISTED' });
      expect(await refusalOf(client.send(`${pattern}-own`, {}))).toEqual({ status: 'error', code: 'OF_ITS_OWN' });
    });

    test('a client that knows nothing of this is served, and has plain answers to what is plain', async () => {
      const pattern = queueName();
      class Authors extends OwnController {
        @MessagePattern(pattern)
        async emailOf(id: number): Promise<unknown> {
          return { email: (await this.em.findOneOrFail(Author, id)).email };
        }
      }
      const { connect } = await start(Authors);
      expect(await lastValueFrom(connect(null).send(pattern, 1))).toEqual({ email: 'ann@old.example' });
    });

    test('or refused, where the options say so', async () => {
      const pattern = queueName();
      @Controller()
      @UseInterceptors(ByReferenceInterceptor)
      class Authors {
        @MessagePattern(pattern)
        answer(): string {
          return 'answered';
        }
      }
      const { client, connect } = await start(Authors, { plain: 'refuse' });
      expect(await refusalOf(connect(null).send(pattern, 1))).toMatchObject({ code: 'E_MALFORMED' });
      expect(await lastValueFrom(client.send(pattern, 1))).toBe('answered');
    });

    test('a request-scoped controller gets the rows too', async () => {
      const pattern = queueName();
      @Controller({ path: '', scope: Scope.REQUEST })
      @UseInterceptors(ByReferenceInterceptor)
      class Authors {
        readonly em: EntityManager;
        readonly request: object;
        constructor(@Inject(EntityManager) own: EntityManager, @Inject(REQUEST) request: object) {
          this.em = own;
          this.request = request;
        }

        @MessagePattern(pattern)
        emailOf({ author }: { author: Author }): unknown {
          return [author.email, this.em.getReference(Author, 1) === author, 'pattern' in this.request];
        }
      }
      const { client } = await start(Authors);
      expect(await lastValueFrom(client.send(pattern, { author: await ann() }))).toEqual([
        'ann@old.example',
        true,
        true,
      ]);
    });

    test('a handler without the interceptor, and a guard, hear that the message is not read', async () => {
      const pattern = queueName();
      const heard: unknown[] = [];
      class Guard implements CanActivate {
        canActivate(context: ExecutionContext): boolean {
          const data: { author: Author } = context.switchToRpc().getData();
          for (const touch of [() => data.author, () => ({ ...data }), () => 'author' in data]) {
            try {
              heard.push(touch());
            } catch (error) {
              heard.push((error as { code: string }).code);
            }
          }
          return true;
        }
      }
      @Controller()
      @UseGuards(Guard)
      class Authors {
        @MessagePattern(pattern)
        emailOf(@Payload('author') author: Author): string {
          return author.email;
        }
      }
      const { client } = await start(Authors);
      expect(await refusalOf(client.send(pattern, { author: await ann() }))).toEqual({
        status: 'error',
        message: 'Internal server error',
      });
      expect(heard).toEqual(['E_UNSUPPORTED', 'E_UNSUPPORTED', 'E_UNSUPPORTED']);
    });

    test('calls that nobody answers hold on to nothing', async () => {
      const pattern = queueName();
      @Controller()
      @UseInterceptors(ByReferenceInterceptor)
      class Silent {
        @MessagePattern(pattern)
        never(): Promise<void> {
          return new Promise(() => undefined);
        }

        @MessagePattern(`${pattern}-ready`)
        ready(): boolean {
          return true;
        }
      }
      const { client } = await start(Silent);
      await lastValueFrom(client.send(`${pattern}-ready`, {}));
      const asking: WeakRef<EntityManager>[] = [];
      for (let n = 0; n < 20; n++) {
        await inRequest(async () => {
          asking.push(new WeakRef(RequestContext.getEntityManager()!));
          await expect(firstValueFrom(client.send(pattern, {}).pipe(timeout(20)))).rejects.toThrow(/Timeout/);
        });
      }
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      await until(() => {
        collect();
        return asking.filter((own) => own.deref() !== undefined).length <= 1;
      });
    });
  });
}

test('options are checked', async () => {
  const serializer = new EntitySerializer(database.orm);
  for (const options of [
    { ony: [Author] },
    { signed: { purpose: '' } },
    { signed: { purpose: 'messages' } },
    { plain: 'maybe' },
    { context: {} },
    { encode: false },
  ] as never[]) {
    expect((await failureOf(() => messagesByReference(serializer, options))).code).toBe('E_INVALID_OPTION');
  }
});
