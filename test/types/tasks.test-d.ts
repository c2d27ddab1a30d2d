/** Compiled, never run: tasks are typed from `define` to the result, and pg-boss fits the engine. */
import { defineEntity, type InferEntity, type Loaded, p, type Ref } from '@mikro-orm/core';
import type { Job, PgBoss } from 'pg-boss';
import type { EntityToken } from 'mikro-orm-byref';
import { byReference, pgBossEngine, type PgBossLike } from 'mikro-orm-byref/pg-boss';
import {
  type Change,
  type DeclaredTask,
  type Engine,
  type JobContext,
  type JobHandle,
  Task,
  type Tasks,
} from 'mikro-orm-byref/tasks';
import type { Post, PostSchema, User } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const tasks: Tasks;
declare const boss: PgBoss;
declare const serializer: ConstructorParameters<typeof Tasks>[0];
declare const user: User;
declare const userRef: Ref<User>;
declare const loadedUser: Loaded<User, 'posts'>;
declare const post: Post;
declare const postRef: Ref<Post>;
declare const UserClass: typeof User;
declare const PostClass: typeof Post;
declare const Posts: typeof PostSchema;

// From the arguments to the result.
{
  const task = tasks.define('a', async ({ user: mailed, n }: { user: User; n: number }, job) => {
    expectType<User>()(mailed, true);
    expectType<JobContext>()(job, true);
    return { mailed, n };
  });
  expectType<JobHandle<{ mailed: User; n: number }>>()(await task.delay({ user, n: 1 }), true);
  expectType<{ mailed: User; n: number } | undefined>()(await (await task.delay({ user, n: 1 })).result(), true);
  expectType<{ mailed: User; n: number }>()(await task({ user, n: 1 }), true);
  expectType<JobHandle<{ mailed: User; n: number }>[]>()(await task.bulk([{ user, n: 1 }]), true);
  // @ts-expect-error an argument is missing
  await task.delay({ user });
  // @ts-expect-error an argument of another type
  await task.delay({ user: 1, n: 1 });
  // @ts-expect-error no such option
  await task.delay({ user, n: 1 }, { delay: 5 });
  // @ts-expect-error dedupe would drop all but one
  await task.bulk([{ user, n: 1 }], { dedupe: user });
}

// A batch gets lists.
{
  const task = tasks.define(
    'b',
    async (list: { user: User }[], jobs) => {
      expectType<readonly JobContext[]>()(jobs, true);
      return list.map(({ user: each }) => each.id);
    },
    { batch: true },
  );
  expectType<JobHandle<number>>()(await task.delay({ user }), true);
  expectType<number>()(await task({ user }), true);
}

// What earlier releases have enqueued: from one class, or from several.
{
  class First {
    declare user: User;
  }
  class Second {
    declare user: User;
    declare n: number;
  }
  class Third {
    declare user: User;
    declare list: number[];
  }
  const third = new Third();
  const task = tasks.define('upgraded', async (args: Third) => args.list, {
    as: Third,
    upgrade: {
      from: First,
      to: (old) => {
        expectType<First>()(old, true);
        return third;
      },
    },
  });
  expectType<JobHandle<number[]>>()(await task.delay(third), true);
  tasks.define('upgraded', async (list: Third[]) => list.map(({ user: each }) => each), {
    as: Third,
    batch: true,
    upgrade: [
      {
        from: Second,
        to: async (old) => {
          expectType<Second>()(old, true);
          return third;
        },
      },
      {
        from: First,
        to: (old) => {
          expectType<First>()(old, true);
          return new Second();
        },
      },
    ],
  });
  // @ts-expect-error neither of now nor of then
  tasks.define('upgraded', async (args: Third) => args, { as: Third, upgrade: { from: First, to: () => 'text' } });
  // @ts-expect-error neither of now nor of then
  tasks.define('upgraded', async (args: Third) => args, { as: Third, upgrade: [{ from: First, to: () => 'text' }] });
}

// Changes are typed by the models.
{
  const index = tasks.define('c', async (change: Change<Post>) => {
    expectType<EntityToken>()(change.token, true);
    expectType<Post | null>()(change.entity, true);
  });
  tasks.onFlush([PostClass], index);
  tasks.onFlush([Posts], index);
  const all = tasks.define('d', async (change: Change<Post | User>) => void change.entity, { missing: 'null' });
  tasks.onFlush([UserClass, Posts], all);
  const either = tasks.define('e', async (change: Change<Post> | Change<User>) => void change.entity);
  tasks.onFlush([UserClass, Posts], either);
  tasks.onFlush(
    [UserClass, Posts],
    tasks.define('f', async (change: Change) => void change.entity),
  );
  // @ts-expect-error a task for some of them
  tasks.onFlush([UserClass, Posts], index);
  // @ts-expect-error a task for other entities
  tasks.onFlush([UserClass], index);
}

// A field says what it holds, and a handler without types of its own has them from there.
{
  type Args = { user: User };
  class Mailing {
    readonly typed: Task<Args, void> = tasks.define('g', async ({ user: mailed }: Args) => void mailed.id);
    readonly untyped: Task<Args, void> = tasks.define('h', async ({ user: mailed }) => void mailed.id);
    readonly wider: Task<Args, User | null> = tasks.define('i', async ({ user: mailed }) => mailed);
    readonly batch: Task<Args, number> = tasks.define('j', (list) => list.map(({ user: { id } }) => id), {
      batch: true,
    });
    readonly entity: Task<User, void> = tasks.define('k', async (mailed) => void mailed.email);
    readonly nothing: Task<void, void> = tasks.define('l', async () => {});
    readonly reference: Task<{ user: Ref<User> }, void>;

    constructor() {
      this.reference = tasks.define('m', async ({ user: mailed }) => void mailed.email);
    }
  }
  const mailing = new Mailing();
  expectType<JobHandle<void>>()(await mailing.nothing.delay(), true);
  expectType<JobHandle<User | null>>()(await mailing.wider.delay({ user }), true);
  expectType<User | null>()(await mailing.wider({ user }), true);
  // @ts-expect-error the result may be null
  const narrower: Task<Args, User> = mailing.wider;
  // @ts-expect-error other arguments
  const other: Task<{ post: Post }, void> = mailing.typed;
  void [narrower, other];
}

// Methods of a class are typed by it.
{
  class Mails {
    @Task('u')
    async remind({ user: mailed }: { user: User }, job?: JobContext): Promise<{ mailed: User; id: string }> {
      return { mailed, id: job?.id ?? '' };
    }

    @Task('v', { missing: 'null', only: [UserClass] })
    nothing(): number {
      return 1;
    }

    @Task('w')
    async change(_change: Change<User>): Promise<void> {}

    @Task('x')
    protected async hidden(_args: { user: User }): Promise<void> {}

    async other(_args: { user: User }, _n: number): Promise<void> {}

    // @ts-expect-error a second argument that is no job
    @Task('y')
    async two(_args: { user: User }, _n: number): Promise<void> {}

    // @ts-expect-error a reference arrives as its entity
    @Task('z')
    async refs(_args: { user: Ref<User> }): Promise<void> {}

    // @ts-expect-error no field
    @Task('f')
    field = 1;
  }
  const own = tasks.of(Mails);
  expectType<'remind' | 'nothing' | 'change' | 'refs'>()({} as keyof typeof own, true);
  expectType<DeclaredTask<{ user: User }, { mailed: User; id: string }>>()(own.remind, true);
  expectType<JobHandle<{ mailed: User; id: string }>>()(await own.remind.delay({ user }), true);
  await own.remind.delay({ user: userRef }, { delayMs: 1, dedupe: user });
  expectType<JobHandle<number>>()(await own.nothing.delay(), true);
  // @ts-expect-error an argument of another type
  await own.remind.delay({ user: post });
  // @ts-expect-error an argument is missing
  await own.remind.delay();
  // @ts-expect-error it needs an instance to be called
  await own.remind({ user });
  // @ts-expect-error no such method
  void own.remined;
  // @ts-expect-error a batch is for define()
  void Task('b', { batch: true });
  // @ts-expect-error the name is required
  void Task();
  tasks.onFlush([UserClass], own.change);
  // @ts-expect-error a task for other entities
  tasks.onFlush([PostClass], own.change);
  tasks.register(new Mails());
}

// A reference stands for its entity, and an entity for its reference.
{
  const one = tasks.define('n', async (args: { user: User; of: [User, { posts: Post[] }] }) => void args);
  await one.delay({ user: userRef, of: [userRef, { posts: [] }] });
  await one.delay({ user: loadedUser, of: [user, { posts: [postRef, post] }] });
  await one.bulk([{ user: userRef, of: [user, { posts: [] }] }]);
  await one.schedule('* * * * *', { user: userRef, of: [user, { posts: [] }] });
  await tasks.define('o', async (mailed: User) => void mailed.email).delay(userRef);
  await tasks.define('p', async (by: Map<string, User>) => void by).delay(new Map([['a', userRef]]));
  const two: Task<{ user: Ref<User> }, void> = tasks.define('q', async (args) => void args.user.email);
  await two.delay({ user });
  await two.delay({ user: userRef });
  // @ts-expect-error a reference to another entity
  await one.delay({ user: postRef, of: [user, { posts: [] }] });
  // @ts-expect-error an id is no reference
  await two.delay({ user: 1 });
  // @ts-expect-error here and now it is called with what it takes
  await one({ user: userRef, of: [user, { posts: [] }] });
}

// Entities without classes.
{
  const Author = defineEntity({
    name: 'Author',
    properties: { id: p.integer().primary(), books: () => p.oneToMany(Book).mappedBy('author') },
  });
  const Book = defineEntity({
    name: 'Book',
    properties: { id: p.integer().primary(), author: () => p.manyToOne(Author).ref() },
  });
  type IAuthor = InferEntity<typeof Author>;
  const book = {} as InferEntity<typeof Book>;
  const only = { only: [Author, UserClass], missing: 'null' } as const;
  const write = tasks.define('r', async (args: { author: IAuthor }) => void args.author.id, only);
  await write.delay({ author: book.author });
  await write.delay({ author: {} as IAuthor });
  tasks.onFlush(
    [Author],
    tasks.define('s', async (change: Change<IAuthor>) => void change.entity),
  );
  tasks.onFlush(
    [Author, UserClass],
    tasks.define('t', async (change: Change<IAuthor | User>) => void change.entity),
  );
  // @ts-expect-error a task for other entities
  tasks.onFlush([Book], write);
}

// The real pg-boss is what the engine asks for, and stays itself by reference.
{
  const like: PgBossLike = boss;
  expectType<Engine>()(pgBossEngine(like), true);
  const own = byReference(serializer, boss);
  expectType<PgBoss>()(own, true);
  await own.work<{ user: User }>('a', async (jobs) => expectType<Job<{ user: User }>[]>()(jobs, true));
  await own.send('a', { user: userRef });
}
