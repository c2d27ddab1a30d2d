import type { EntityManager } from '@mikro-orm/core';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { completesInTransaction } from '../tasks/engine.ts';
import type { JobHandle } from '../tasks/job-handle.ts';
import { Account, Effect, type EngineCases, fast, name } from './engine-context.ts';

/** Jobs in the transactions of their producers and of their handlers. */
export const transactions: EngineCases = {
  async 'dedupe: transactions that meet crosswise both commit, each with jobs that see what it wrote'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async ({ account }: { account: Account }) => account.email);
    const [one, two] = [await context.account('1'), await context.account('2')];
    const both = Promise.withResolvers<void>();
    const waiting = new Set([one, two]);
    const delayBoth = (first: Account, second: Account): Promise<JobHandle<string>[]> =>
      context.orm.em.fork().transactional(async (em) => {
        const handles = [await task.delay({ account: first }, { em, dedupe: first })];
        waiting.delete(first);
        if (waiting.size === 0) both.resolve();
        // A database with one connection has one transaction after the other.
        await Promise.race([both.promise, sleep(1_000)]);
        return [...handles, await task.delay({ account: second }, { em, dedupe: second })];
      });
    const handles = (await Promise.all([delayBoth(one, two), delayBoth(two, one)])).flat();
    await tasks.work();
    for (const handle of handles) assert.equal((await context.end(handle)).state, 'completed');
  },

  async 'a transaction that commits delivers its jobs, one that rolls back does not'(context) {
    const tasks = context.tasks();
    const emails: string[] = [];
    const task = tasks.define(name(), async ({ account }: { account: Account }) => void emails.push(account.email));
    await tasks.work();
    const enqueue = async (email: string, ends: boolean): Promise<JobHandle<void>> => {
      let handle: JobHandle<void> | undefined;
      const transaction = context.orm.em.fork().transactional(async (em) => {
        handle = await task.delay({ account: await context.account(email, em) });
        await sleep(300);
        assert.ok(!emails.includes(email));
        if (!ends) throw new Error('rolled back on purpose');
      });
      if (ends) await transaction;
      else await assert.rejects(transaction, /on purpose/);
      return handle!;
    };
    const lost = await enqueue('rolled back', false);
    const kept = await enqueue('committed', true);
    await context.end(kept);
    assert.deepEqual(emails, ['committed']);
    assert.equal(await lost.state(), undefined);
  },

  async 'a savepoint that rolls back takes its jobs along, and no others'(context) {
    const tasks = context.tasks();
    const seen: number[] = [];
    const task = tasks.define(name(), async ({ n }: { account: Account; n: number }) => void seen.push(n));
    const handles = await context.orm.em.fork().transactional(async (em) => {
      const account = await context.account('outer', em);
      const first = await task.delay({ account, n: 1 });
      const lost = em.transactional(async () => {
        await task.delay({ account, n: 2 });
        throw new Error('rolled back on purpose');
      });
      await assert.rejects(lost, /on purpose/);
      const inner = await em.transactional(() => task.delay({ account, n: 3 }));
      return [first, inner];
    });
    await tasks.work();
    for (const handle of handles) await context.end(handle);
    assert.deepEqual(seen.toSorted(), [1, 3]);
  },

  async 'the transaction is that of the EntityManager, or of the entities; two are refused'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async (_args: { accounts: Account[] }) => undefined);
    const outside = await context.account();
    await context.orm.em.fork().transactional(async (one) => {
      const first = await context.account('1', one);
      await context.orm.em.fork().transactional(async (two) => {
        const second = await context.account('2', two);
        const mismatch = { code: 'E_TRANSACTION_MISMATCH', retryable: false };
        await assert.rejects(task.delay({ accounts: [first, second] }), mismatch);
        await assert.rejects(task.delay({ accounts: [second] }, { em: one }), mismatch);
        await task.delay({ accounts: [outside] }, { em: one });
        await task.delay({ accounts: [outside, first] });
      });
    });
  },

  async 'a transactional task: its writes and its completion commit together'(context) {
    const tasks = context.tasks();
    const note = name();
    const handler = async (_args: unknown, job: { em: EntityManager; attempt: number }): Promise<string> => {
      job.em.create(Effect, { id: Math.floor(Math.random() * 2 ** 31), note });
      await job.em.flush();
      if (job.attempt === 1) throw new Error('failed on purpose after the write');
      return note;
    };
    if (!completesInTransaction(context.engine)) {
      assert.throws(() => tasks.define(note, handler, { transactional: true }), { code: 'E_UNSUPPORTED' });
      return;
    }
    const task = tasks.define(note, handler, { transactional: true, retries: fast });
    const handle = await task.delay({});
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 2 });
    assert.equal(await context.effects(note), 1);
    assert.equal(await handle.result(), note);
  },

  async 'wait inside the transaction of the job is an error at once'(context) {
    const tasks = context.tasks();
    const task = tasks.define(name(), async () => 'done');
    await tasks.work();
    const handle = await context.orm.em.fork().transactional(async (em) => {
      const own = await task.delay({}, { em });
      await assert.rejects(own.wait(), { code: 'E_UNSUPPORTED' });
      return own;
    });
    assert.equal(await handle.wait({ timeoutMs: context.timeoutMs }), 'done');
  },

  async 'cancel inside the transaction of the job: it never is, unless that is undone'(context) {
    const tasks = context.tasks();
    const ran: string[] = [];
    const task = tasks.define(name(), async ({ is }: { is: string }) => void ran.push(is));
    const last = await context.orm.em.fork().transactional(async (em) => {
      const gone = await task.delay({ is: 'gone' }, { em });
      assert.equal(await gone.cancel(), true);
      return task.delay({ is: 'last' }, { em });
    });
    await tasks.work();
    await context.end(last);
    assert.deepEqual(ran, ['last']);
  },
};
