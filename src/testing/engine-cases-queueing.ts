import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiscardJobError } from '../tasks/job-errors.ts';
import { Account, type EngineCases, fast, name } from './engine-context.ts';

/** When jobs run, and what can be asked of them. */
export const queueing: EngineCases = {
  async 'dedupe: while an equal job waits, the second is dropped and its handle is the first one’s'(context) {
    const tasks = context.tasks();
    let runs = 0;
    const task = tasks.define(name(), async (_args: { account: Account; n: number }) => ++runs);
    const account = await context.account();
    const [first, second, other] = [
      await task.delay({ account, n: 1 }, { dedupe: account }),
      await task.delay({ account, n: 2 }, { dedupe: context.orm.em.fork().getReference(Account, account.id) }),
      await task.delay({ account, n: 3 }, { dedupe: [account, 'other'] }),
    ];
    assert.equal(second.id, first.id);
    assert.notEqual(other.id, first.id);
    await tasks.work();
    await context.end(first);
    await context.end(other);
    assert.equal(runs, 2);
    const again = await task.delay({ account, n: 4 }, { dedupe: account });
    assert.notEqual(again.id, first.id);
    await context.end(again);
    assert.equal(runs, 3);
  },

  async 'a delayed job waits; a larger priority goes first'(context) {
    const tasks = context.tasks();
    const order: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void order.push(is));
    const handles = [
      await task.delay({ is: 'low' }),
      await task.delay({ is: 'high' }, { priority: 5 }),
      await task.delay({ is: 'late' }, { delayMs: 1_500 }),
    ];
    await tasks.work();
    for (const handle of handles) await context.end(handle);
    assert.deepEqual(order, ['high', 'low', 'late']);
  },

  async 'stop waits for the job under way and takes no other'(context) {
    const tasks = context.tasks();
    const events: string[] = [];
    const task = tasks.define(name(), async ({ n }: { n: number }) => {
      events.push(`start ${n}`);
      await sleep(400);
      events.push(`end ${n}`);
    });
    await tasks.work();
    void task.delay({ n: 1 });
    await context.until(() => events.length > 0);
    await tasks.stop();
    assert.deepEqual(events, ['start 1', 'end 1']);
    const second = await task.delay({ n: 2 });
    await sleep(300);
    assert.equal(await second.state(), 'waiting');
    assert.equal(events.length, 2);
  },

  async 'wait: the result, the failure, or E_TIMEOUT'(context) {
    const tasks = context.tasks();
    const task = tasks.define(
      name(),
      async ({ n }: { n: number }) => {
        if (n < 0) throw new DiscardJobError('negative');
        return n + 1;
      },
      { retries: fast },
    );
    const waiting = await task.delay({ n: 1 });
    if ((await waiting.state()) !== 'completed') {
      await assert.rejects(waiting.wait({ timeoutMs: 50 }), { code: 'E_TIMEOUT', retryable: true });
      await assert.rejects(waiting.wait({ signal: AbortSignal.abort(new Error('not wanted')) }), /not wanted/);
    }
    await tasks.work();
    assert.equal(await waiting.wait({ timeoutMs: context.timeoutMs }), 2);
    const failing = await task.delay({ n: -1 });
    await assert.rejects(failing.wait({ timeoutMs: context.timeoutMs }), /negative/);
  },

  async 'cancel: a waiting job is gone; one that has run is not'(context) {
    const tasks = context.tasks();
    const ran: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void ran.push(is));
    const [gone, kept] = [await task.delay({ is: 'gone' }), await task.delay({ is: 'kept' })];
    assert.equal(await gone.cancel(), true);
    assert.equal(await gone.state(), undefined);
    assert.equal(await gone.cancel(), true);
    await tasks.work();
    await context.end(kept);
    assert.equal(await kept.cancel(), false);
    assert.equal(await task.handle(gone.id).cancel(), false);
    await assert.rejects(gone.wait(), /taken back/);
    assert.deepEqual(ran, ['kept']);
  },

  async 'at: the job waits until then'(context) {
    const tasks = context.tasks();
    const order: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void order.push(is));
    const handles = [
      await task.delay({ is: 'then' }, { at: new Date(Date.now() + 1_500) }),
      await task.delay({ is: 'long due' }, { at: new Date(0) }),
    ];
    await tasks.work();
    for (const handle of handles) await context.end(handle);
    assert.deepEqual(order, ['long due', 'then']);
    await assert.rejects(task.delay({ is: 'x' }, { at: new Date(), delayMs: 1 }), { code: 'E_INVALID_OPTION' });
  },

  async 'a declared task is enqueued by a program without its handler'(context) {
    const queue = name();
    const worker = context.tasks();
    worker.define(queue, async ({ account }: { account: Account }) => account.email, { retries: fast });
    const producer = context.tasks().declare<{ account: Account }, string>(queue, { retries: fast });
    const handle = await producer.delay({ account: await context.account('declared@example.org') });
    await worker.work();
    assert.equal(
      await handle.wait({ timeoutMs: context.timeoutMs, em: context.orm.em.fork() }),
      'declared@example.org',
    );
  },

  async 'stop: one promise for all, and with a time-out the number of jobs left, whose signals are aborted'(context) {
    const tasks = context.tasks();
    const { promise: isReleased, resolve: release } = Promise.withResolvers<void>();
    let signal: AbortSignal | undefined;
    const task = tasks.define(name(), async (_args: unknown, job) => {
      signal = job.signal;
      await isReleased;
    });
    await tasks.work();
    void task.delay({});
    await context.until(() => signal !== undefined);
    const stopped = tasks.stop();
    assert.equal(tasks.stop({ timeoutMs: 100 }), stopped);
    assert.equal(await stopped, 1);
    assert.equal(signal!.aborted, true);
    release();
    await context.until(async () => (await tasks.stop({ timeoutMs: context.timeoutMs })) === 0);
  },

  async 'a schedule is made, replaced and ended; one that is not there is none'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async () => undefined);
    if (!context.schedules) {
      await assert.rejects(task.schedule('0 0 1 1 *', {}), { code: 'E_UNSUPPORTED' });
    } else {
      await task.schedule('0 0 1 1 *', { n: 1 });
      await task.schedule('0 0 2 1 *', { n: 2 });
    }
    await task.unschedule();
    await task.unschedule();
  },
};
