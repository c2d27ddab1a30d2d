import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Transactional } from '@mikro-orm/decorators/legacy';
import type { EntityManager } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locked, Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { type Change, inlineEngine, type JobContext, Task, type TaskOptions, Tasks } from 'mikro-orm-byref/tasks';
import { Author, library } from '../../fixtures/library.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { until } from '../support/jobs.ts';
import { importTc39 } from '../support/tc39.ts';

type Args = { author: Author };

class Mails {
  readonly seen: unknown[] = [];
  declare locks: Locks;

  @Task('remind', { retries: { limit: 0 } })
  async remind({ author }: Args, job?: JobContext): Promise<string> {
    this.seen.push(['remind', author.email, job?.name]);
    return author.email;
  }

  @Locked({ key: () => 'one' })
  @Task('digest')
  async digest(_args: object): Promise<string> {
    return `digest ${this.locks.signal !== undefined}`;
  }

  async undecorated(_args: object): Promise<void> {}
}

class LoudMails extends Mails {
  override async remind(args: Args, job?: JobContext): Promise<string> {
    return (await super.remind(args, job)).toUpperCase();
  }
}

type Classes = { readonly Mails: typeof Mails; readonly LoudMails: typeof LoudMails };

let database: TestOrm;
let serializer: EntitySerializer;
let author: Author;
beforeAll(async () => {
  database = await openDatabase(library);
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  author = em.create(Author, { id: 1, email: 'ann@example.org' });
  await em.flush();
});
afterAll(() => database.close());

let tasks: Tasks;
beforeEach(() => {
  tasks = new Tasks(serializer, inlineEngine(), { onError: () => {} });
});

describe.each<readonly [string, () => Promise<Classes>]>([
  ['legacy', async () => ({ Mails, LoudMails })],
  ['TC39', () => importTc39<Classes>('tasks')],
])('@Task as a decorator, %s', (_kind, load) => {
  let classes: Classes;
  let locks: Locks;
  const make = (cls: typeof Mails): Mails => Object.assign(new cls(), { locks });
  beforeAll(async () => {
    classes = await load();
    locks = new Locks(serializer, postgresLocks(database.orm));
  });
  afterAll(() => locks.close());

  test('a producer has the class, a worker an instance; called, the method is what it was', async () => {
    const own = tasks.of(classes.Mails);
    const handle = await own.remind.delay({ author });
    const mails = make(classes.Mails);
    tasks.register(mails);
    await tasks.work();
    expect(await handle.result()).toBe('ann@example.org');
    expect(await mails.remind({ author })).toBe('ann@example.org');
    expect(mails.seen).toEqual([
      ['remind', 'ann@example.org', 'remind'],
      ['remind', 'ann@example.org', undefined],
    ]);
    expect(tasks.of(classes.Mails)).toBe(own);
  });

  test('decorators above it hold for jobs too', async () => {
    tasks.register(make(classes.Mails));
    await tasks.work();
    const handle = await tasks.of(classes.Mails).digest.delay({});
    expect(await handle.result()).toBe('digest true');
  });

  test('only marked methods are tasks; others are refused when they are used, and not when Nest or await looks', async () => {
    const own = await tasks.of(classes.Mails);
    expect(Object.keys(own)).toEqual(['remind', 'digest']);
    expect((own as unknown as { onModuleInit: unknown }).onModuleInit).not.toBeInstanceOf(Function);
    for (const use of [
      () => own.undecorated.delay({}),
      () => own.undecorated.taskName,
      () => (own as unknown as typeof own & { typo: typeof own.remind }).typo.delay({ author }),
    ]) {
      const { code, message } = await failureOf(use);
      expect([code, message]).toEqual([
        'E_INVALID_OPTION',
        expect.stringMatching(/Mails\.(?:undecorated|typo).*@Task/),
      ]);
    }
  });

  test('a subclass has the tasks of its base, in its own way', async () => {
    expect(Object.keys(tasks.of(classes.LoudMails))).toEqual(['remind', 'digest']);
    tasks.register(make(classes.LoudMails));
    await tasks.work();
    const handle = await tasks.of(classes.Mails).remind.delay({ author });
    expect(await handle.result()).toBe('ANN@EXAMPLE.ORG');
    expect((await failureOf(() => tasks.register(make(classes.Mails)))).code).toBe('E_INVALID_OPTION');
  });
});

test('a method under a decorator of somebody else’s is a task in the way that decorator says', async () => {
  class Renames {
    readonly em: EntityManager = database.orm.em;
    isInTransaction = false;

    @Transactional()
    @Task('rename')
    async rename({ author: renamed, email }: { author: Author; email: string }): Promise<void> {
      renamed.email = email;
      this.isInTransaction = this.em.isInTransaction();
    }
  }
  const renames = new Renames();
  tasks.register(renames);
  await tasks.work();
  const handle = await tasks.of(Renames).rename.delay({ author, email: 'ann@example.org' });
  expect([await handle.state(), renames.isInTransaction]).toEqual(['completed', true]);
});

test('a method hears of changes', async () => {
  class Index {
    readonly seen: unknown[] = [];

    @Task('index', { missing: 'null' })
    async update({ change, entity }: Change<Author>): Promise<void> {
      this.seen.push([change, entity?.email]);
    }
  }
  const index = new Index();
  tasks.register(index);
  tasks.onFlush([Author], tasks.of(Index).update);
  await tasks.work();
  const em = database.orm.em.fork();
  const bob = em.create(Author, { id: 2, email: 'bob@example.org' });
  await em.flush();
  await until(() => index.seen.length === 1);
  await em.remove(bob).flush();
  await until(() => index.seen.length === 2);
  await tasks.stop();
  expect(index.seen).toEqual([
    ['create', 'bob@example.org'],
    ['delete', undefined],
  ]);
});

test('what is no method of a task’s is refused where it is declared', async () => {
  const marked = (decorator: unknown, ...args: unknown[]) =>
    failureOf(() => (decorator as (...given: unknown[]) => void)(...args));
  const method = async (): Promise<void> => {};
  const descriptor = { value: method };
  const wrong: readonly (readonly [RegExp, () => Promise<unknown>])[] = [
    [/name of a task/, () => failureOf(() => Task(undefined as never))],
    [/name of a task/, () => failureOf(() => Task(''))],
    [/option batch of @Task/, () => failureOf(() => Task('a', { batch: true } as TaskOptions))],
    [/option delay/, () => failureOf(() => Task('a', { delay: 1 } as TaskOptions))],
    [/target of @Task/, () => marked(Task('a'), Mails, 'send', descriptor)],
    [/target of @Task/, () => marked(Task('a'), Mails.prototype, 'seen', undefined)],
    [
      /target of @Task/,
      () => marked(Task('a'), method, { kind: 'method', name: 'send', static: true, private: false }),
    ],
    [
      /target of @Task/,
      () => marked(Task('a'), method, { kind: 'method', name: '#send', static: false, private: true }),
    ],
    [
      /target of @Task/,
      () => marked(Task('a'), undefined, { kind: 'field', name: 'send', static: false, private: false }),
    ],
    [/no other beside "remind"/, () => marked(Task('a'), Mails.prototype, 'remind', descriptor)],
    [
      /no other beside "a"/,
      () => {
        const context = { kind: 'method', name: 'send', static: false, private: false };
        (Task('a') as unknown as (...args: unknown[]) => void)(method, context);
        return marked(Task('b'), method, context);
      },
    ],
    [/class of tasks/, () => failureOf(() => tasks.of(Author))],
    [/class of tasks/, () => failureOf(() => tasks.of(undefined as never))],
    [/class of tasks/, () => failureOf(() => tasks.register(author))],
    [/class of tasks/, () => failureOf(() => tasks.register(null as never))],
  ];
  for (const [expected, run] of wrong)
    expect(await run()).toMatchObject({ code: 'E_INVALID_OPTION', message: expect.stringMatching(expected) });
});

test('options that only a serializer or an engine can judge are refused where the tasks are asked for', async () => {
  class Wrong {
    @Task('wrong-model', { populate: { Nobody: [] } })
    async model(): Promise<void> {}
  }
  class Transacted {
    @Task('transacted', { transactional: true })
    async run(): Promise<void> {}
  }
  const wrong: readonly (readonly [new () => object, string])[] = [
    [Wrong, 'E_INVALID_OPTION'],
    [Transacted, 'E_UNSUPPORTED'],
  ];
  for (const [cls, code] of wrong) {
    expect((await failureOf(() => tasks.of(cls))).code).toBe(code);
    expect((await failureOf(() => tasks.register(new cls()))).code).toBe(code);
  }
});
