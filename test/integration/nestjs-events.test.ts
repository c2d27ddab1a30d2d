import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { EntityManager, EntitySchema, RequestContext } from '@mikro-orm/core';
import { Inject, Injectable, type INestApplication } from '@nestjs/common';
import { CqrsModule, EventBus, EventsHandler, type IEventHandler } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { EntitySerializer } from 'mikro-orm-byref';
import { ByReferenceModule, CommittedEvents } from 'mikro-orm-byref/nestjs';
import { Author, Book, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { until } from '../support/jobs.ts';
import { ormModule, start } from '../support/nest.ts';
import { warningsOf } from '../support/warnings.ts';

class AuthorMoved {
  readonly author: Author;
  readonly from: string;
  constructor(author: Author, from: string) {
    this.author = author;
    this.from = from;
  }

  label(): string {
    return `${this.from} → ${this.author.email}`;
  }
}

/** What a handler saw: its entity, and whether that is of its own EntityManager. */
interface Seen {
  readonly by: string;
  readonly label: string;
  readonly author: Author;
  readonly isOwn: boolean;
}
const seen: Seen[] = [];
const note = (by: string, label: string, author: Author, em: EntityManager): void =>
  void seen.push({ by, label, author, isOwn: em.getReference(Author, author.id) === author });

@Injectable()
class Listeners {
  readonly em: EntityManager;
  constructor(@Inject(EntityManager) em: EntityManager) {
    this.em = em;
  }

  @OnEvent('author.moved')
  async moved({ author, from }: { author: Author; from: string }): Promise<void> {
    // Its EntityManager lasts for as long as it does.
    await sleep(20);
    author.password = 'seen';
    await this.em.flush();
    note('emitter', from, author, this.em);
  }
}

@EventsHandler(AuthorMoved)
class Handler implements IEventHandler<AuthorMoved> {
  readonly em: EntityManager;
  constructor(@Inject(EntityManager) em: EntityManager) {
    this.em = em;
  }

  async handle(event: AuthorMoved): Promise<void> {
    note('bus', event.label(), event.author, this.em);
  }
}

let database: TestOrm;
let app: INestApplication;
let events: CommittedEvents;
beforeAll(async () => {
  database = await openDatabase(library);
  app = await start({
    imports: [ormModule(database.url), ByReferenceModule.forRoot(), EventEmitterModule.forRoot(), CqrsModule.forRoot()],
    providers: [Listeners, Handler],
  });
  events = app.get(CommittedEvents);
});
afterAll(async () => {
  await app.close();
  await database.close();
});
beforeEach(async () => {
  seen.length = 0;
  const em = database.orm.em.fork();
  await em.nativeDelete(Book, {});
  await em.nativeDelete(Author, {});
  em.create(Author, { id: 1, email: 'ann@old.example' });
  await em.flush();
});
afterEach(() => {
  seen.length = 0;
});

/** Publishes by both, as a service of an application does. */
const publish = (author: Author, from: string): void => {
  events.publish({ author, from }, (event) => app.get(EventEmitter2).emit('author.moved', event));
  events.publish(new AuthorMoved(author, from), (event) => app.get(EventBus).publish(event));
};
/** In a request. */
const request = <T>(run: (em: EntityManager) => Promise<T>): Promise<T> =>
  RequestContext.create(app.get(EntityManager), () => run(app.get(EntityManager)));

test('events come after the commit, with the row of then in the handler’s own EntityManager', async () => {
  const published = await request((em) =>
    em.transactional(async (own) => {
      const author = await own.findOneOrFail(Author, 1);
      publish(author, author.email);
      // After the event was made, and before the commit.
      author.email = 'ann@new.example';
      await own.flush();
      await sleep(50);
      expect(seen).toEqual([]);
      return author;
    }),
  );
  await until(() => seen.length === 2);
  expect(seen.map(({ by, label }) => [by, label]).sort()).toEqual([
    ['bus', 'ann@old.example → ann@new.example'],
    ['emitter', 'ann@old.example'],
  ]);
  for (const { author, isOwn } of seen) {
    expect([author.email, isOwn, author === published]).toEqual(['ann@new.example', true, false]);
  }
  expect(seen[0]!.author).not.toBe(seen[1]!.author);
  expect((await database.orm.em.fork().findOneOrFail(Author, 1)).password).toBe('seen');
});

test('those of a definition too, where there is no outbox', async () => {
  const heard: Author[] = [];
  const defined = events.define('author.named', ({ author }: { author: Author }) => void heard.push(author));
  await request((em) =>
    em.transactional(async (own) => {
      const author = await own.findOneOrFail(Author, 1);
      await defined.publish({ author });
      author.email = 'ann@new.example';
      await own.flush();
      await sleep(50);
      expect(heard).toEqual([]);
    }),
  );
  await until(() => heard.length === 1);
  expect(heard[0]!.email).toBe('ann@new.example');
  for (const use of [() => events.define('author.named', () => 0), () => events.define('', () => 0)])
    expect((await failureOf(use)).code).toBe('E_INVALID_OPTION');
});

test('after a rollback there are none, that of a savepoint too', async () => {
  await request(async (em) => {
    const rolledBack = em.transactional(async (own) => {
      publish(await own.findOneOrFail(Author, 1), 'whole');
      throw new Error('on purpose');
    });
    await expect(rolledBack).rejects.toThrow('on purpose');
    await em.transactional(async (own) => {
      const author = await own.findOneOrFail(Author, 1);
      const inner = own.transactional(async () => {
        publish(author, 'savepoint');
        throw new Error('on purpose');
      });
      await expect(inner).rejects.toThrow('on purpose');
      publish(author, 'outer');
    });
  });
  await until(() => seen.length === 2);
  await sleep(100);
  expect(seen.map(({ label }) => label).sort()).toEqual(['outer', 'outer → ann@old.example']);
});

test('without a transaction they come at once; without entities the transaction is that of the option', async () => {
  const em = app.get(EntityManager).fork();
  publish(await em.findOneOrFail(Author, 1), 'none');
  await until(() => seen.length === 2);
  const heard: unknown[] = [];
  await em.begin();
  events.publish({ at: new Date(0) }, (event) => heard.push(event), { em });
  await sleep(50);
  expect(heard).toEqual([]);
  await em.commit();
  await until(() => heard.length === 1);
  expect(heard).toEqual([{ at: new Date(0) }]);
});

test('a row that is gone by then is told of, and nothing is published', async () => {
  const em = app.get(EntityManager).fork();
  const warnings = await warningsOf(async () => {
    await em.transactional(async (own) => {
      const author = await own.findOneOrFail(Author, 1);
      publish(author, 'gone');
      own.remove(author);
    });
  }, 2);
  expect(seen).toEqual([]);
  const told = /afterCommit.*\["Author",1\]/s;
  expect(warnings.map(({ message }) => message)).toEqual([expect.stringMatching(told), expect.stringMatching(told)]);
});

test('what could not come back is refused where it is published, as an option is that there is not', async () => {
  const em = app.get(EntityManager).fork();
  const fresh = em.create(Author, { id: 9, email: 'new' });
  const wrong = [
    [() => events.publish({ author: fresh }, () => 0), 'E_UNPERSISTED'],
    [() => events.publish(new AuthorMoved(fresh, ''), () => 0), 'E_UNPERSISTED'],
    [() => events.publish({ run: () => 0 }, () => 0), 'E_UNSERIALIZABLE'],
    [() => events.publish(Promise.resolve(), () => 0), 'E_UNSERIALIZABLE'],
    [() => events.publish(new AuthorMoved(new AuthorMoved(fresh, '') as never, ''), () => 0), 'E_UNSERIALIZABLE'],
    [() => events.publish({}, () => 0, { manager: em } as never), 'E_INVALID_OPTION'],
  ] as const;
  for (const [use, code] of wrong) expect((await failureOf(use)).code).toBe(code);
});

test('filters that are on by default have the parameters of who published', async () => {
  class Note {
    declare id: number;
    declare tenant: string;
  }
  const schema = new EntitySchema<Note>({
    class: Note,
    properties: { id: { type: 'number', primary: true, autoincrement: false }, tenant: { type: 'string' } },
    filters: { tenant: { name: 'tenant', cond: ({ tenant }: { tenant: string }) => ({ tenant }), default: true } },
  });
  const own = await openDatabase([schema]);
  try {
    const em = own.orm.em.fork();
    em.setFilterParams('tenant', { tenant: 'acme' });
    const note = em.create(Note, { id: 1, tenant: 'acme' });
    await em.flush();
    const heard: string[] = [];
    const committed = new CommittedEvents(new EntitySerializer(own.orm));
    await RequestContext.create(em, () =>
      own.orm.em.transactional(async () => {
        committed.publish({ note }, (event) => heard.push(event.note.tenant));
      }),
    );
    await until(() => heard.length === 1);
    expect(heard).toEqual(['acme']);
  } finally {
    await own.close();
  }
});
