/** Compiled, never run: tasks are typed from `define` to the result, and pg-boss fits the engine. */
import type { Ref } from '@mikro-orm/core';
import type { Job, PgBoss } from 'pg-boss';
import type { EntityToken } from 'mikro-orm-byref';
import { byReference, pgBossEngine, type PgBossLike } from 'mikro-orm-byref/pg-boss';
import type { Change, Engine, JobContext, JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import type { Post, PostSchema, User } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const tasks: Tasks;
declare const boss: PgBoss;
declare const serializer: ConstructorParameters<typeof Tasks>[0];
declare const user: User;
declare const userRef: Ref<User>;
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
  // @ts-expect-error a task for some of them
  tasks.onFlush([UserClass, Posts], index);
  // @ts-expect-error a task for other entities
  tasks.onFlush([UserClass], index);
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
