/** Compiled, never run: what was enqueued is asked for by a task and what its `delay` takes. */
import type { Ref } from '@mikro-orm/core';
import type { Tasks } from 'mikro-orm-byref/tasks';
import { type RecordedJob, recordingEngine } from 'mikro-orm-byref/testing';
import type { Post, User } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const tasks: Tasks;
declare const user: User;
declare const userRef: Ref<User>;
declare const post: Post;

const engine = recordingEngine();
const welcome = tasks.define('welcome', async (args: { user: User }) => args.user.id);
expectType<readonly RecordedJob[]>()(engine.jobs(), true);
expectType<readonly RecordedJob[]>()(engine.jobs(welcome), true);
expectType<readonly RecordedJob[]>()(engine.jobs(welcome, { user }), true);
engine.jobs(welcome, { user: userRef });
// @ts-expect-error other arguments
engine.jobs(welcome, { user: post });
// @ts-expect-error no task
engine.jobs('welcome');
expectType<readonly RecordedJob[]>()(await engine.run(), true);
