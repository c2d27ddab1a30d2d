import assert from 'node:assert/strict';
import type { NewJob, RunJobs } from '../tasks/engine.ts';
import type { JsonObject } from '../wire/json.ts';
import {
  Account,
  assertDistrusted,
  type EngineCases,
  enqueueRaw,
  fast,
  name,
  queueOf,
  signing,
  telling,
} from './engine-context.ts';

/** What is signed, and what is not believed. */
export const signed: EngineCases = {
  async 'signed: own jobs run, their retries as well, and their results are those of the job'(context) {
    const tasks = context.tasks(signing);
    const task = tasks.define(
      name(),
      async ({ account }: { account: Account }, job) => {
        if (job.attempt === 1) throw new Error('failed on purpose');
        return { account };
      },
      { retries: fast },
    );
    const silent = tasks.define(name(), async () => undefined);
    const [handle, nothing] = [await task.delay({ account: await context.account('kept') }), await silent.delay({})];
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 2 });
    const result = await handle.result({ em: context.orm.em.fork() });
    assert.equal(result!.account.email, 'kept');
    assert.equal((await context.end(nothing)).state, 'completed');
    assert.equal(await nothing.result(), undefined);
  },

  async 'signed: what is not is discarded, its format’s version unseen'(context) {
    const tasks = context.tasks(signing);
    const queue = name();
    const task = tasks.define(queue, async () => assert.fail('it ran'), { retries: fast });
    await tasks.work();
    for (const data of [
      { $byref: 1, data: {} },
      { $byref: 999 },
      { $byref: 1, data: {}, signature: 'x' },
      { plain: 1 },
    ]) {
      await assertDistrusted(context, task.handle(await enqueueRaw(context.engine, queue, data)));
    }
  },

  async 'signed: a job that was moved to another task’s queue, or says another task, is discarded'(context) {
    const stored: NewJob[] = [];
    const tasks = context.tasks(
      signing,
      telling(context.engine, (job) => void stored.push(job)),
    );
    const shared = name();
    const ran: string[] = [];
    const [one, two, other] = ['one', 'two', 'other'].map((is) =>
      tasks.define(name(), async () => void ran.push(is), { retries: fast, queue: is === 'other' ? name() : shared }),
    );
    const handle = await one!.delay({});
    await tasks.work();
    await context.end(handle);
    const { data, queue } = stored[0]!;
    assert.equal(queue.name, shared);
    const renamed = { ...data, task: { name: two!.taskName } };
    await assertDistrusted(context, two!.handle(await enqueueRaw(context.engine, shared, renamed)));
    await other!.delay({});
    const foreign = stored[1]!.queue.name;
    await assertDistrusted(context, other!.handle(await enqueueRaw(context.engine, foreign, data)));
    // Whoever has seen a job may send it once more.
    const again = one!.handle(await enqueueRaw(context.engine, shared, data));
    assert.equal((await context.end(again)).state, 'completed');
    assert.deepEqual(ran.toSorted(), ['one', 'one', 'other']);
  },

  async 'signed: a result that is forged, or another job’s, is refused'(context) {
    const tasks = context.tasks(signing);
    const queue = name();
    const task = tasks.define(queue, async () => 'mine');
    const first = await task.delay({});
    await tasks.work();
    await context.end(first);
    assert.equal(await first.result(), 'mine');
    const { output } = (await context.engine.find(queueOf(queue), first.id))!;
    await tasks.stop();
    const left = [output, { $byref: 1, data: 'forged' }, { forged: true }];
    const handles = [await task.delay({}), await task.delay({}), await task.delay({})];
    const run: RunJobs = async (jobs) => jobs.map(() => ({ status: 'completed', output: left.pop() as JsonObject }));
    await context.engine.work(queueOf(queue), run, (error) => assert.fail(String(error)));
    for (const handle of handles) {
      assert.equal((await context.end(handle)).state, 'completed');
      await assert.rejects(handle.result(), { code: 'E_BAD_SIGNATURE' });
    }
    assert.equal(await first.result(), 'mine');
  },
};
