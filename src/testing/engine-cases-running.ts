import { type EntityManager, RequestContext } from '@mikro-orm/core';
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { managesAnything } from '../orm/identity-map.ts';
import type { ReviveTrace } from '../options.ts';
import { Account, type EngineCases, enqueueRaw, fast, name } from './engine-context.ts';

/** What a handler gets, and what it leaves. */
export const running: EngineCases = {
  async 'a job receives the current row, and its result comes back fresh'(context) {
    const tasks = context.tasks();
    const mail = tasks.define(name(), async ({ account }: { account: Account }) => ({
      account,
      sentTo: account.email,
    }));
    const em = context.orm.em.fork();
    const account = await context.account('old@example.org', em);
    const handle = await mail.delay({ account });
    account.email = 'new@example.org';
    await em.flush();
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 1 });
    account.email = 'newest@example.org';
    await em.flush();
    const result = await mail.handle(handle.id).result({ em: context.orm.em.fork() });
    assert.deepEqual([result!.sentTo, result!.account.email], ['new@example.org', 'newest@example.org']);
  },

  async 'each job has an EntityManager and a request context of its own, cleared after it'(context) {
    const tasks = context.tasks();
    const seen: EntityManager[] = [];
    const task = tasks.define(
      name(),
      async ({ account, fails }: { account: Account; fails: boolean }, job) => {
        seen.push(job.em);
        assert.ok(RequestContext.getEntityManager() === job.em, 'the request context is not the job’s');
        assert.equal(await job.em.findOne(Account, account.id), account);
        if (fails && job.attempt === 1) throw new Error('failed on purpose');
      },
      { retries: fast },
    );
    const account = await context.account();
    const handles = await task.bulk([
      { account, fails: false },
      { account, fails: true },
    ]);
    await tasks.work();
    for (const handle of handles) assert.equal((await context.end(handle)).state, 'completed');
    assert.equal(new Set(seen).size, 3);
    for (const em of seen) assert.equal(managesAnything(em), false);
  },

  async 'a class that was renamed is found by its alias'(context) {
    const tasks = context.tasks();
    const queue = name();
    const task = tasks.define(queue, async ({ account }: { account: Account }) => account.email);
    const { id } = await context.account('alias@example.org');
    const handle = task.handle(
      await enqueueRaw(context.engine, queue, { $byref: 1, data: { account: { $entity: ['contract.User', id] } } }),
    );
    await tasks.work();
    await context.end(handle);
    assert.equal(await handle.result(), 'alias@example.org');
  },

  async 'a job without an envelope reaches the handler unchanged'(context) {
    const tasks = context.tasks();
    const queue = name();
    const task = tasks.define(queue, async (args: unknown) => args);
    const data = { userId: 7, $entity: ['not', 'a token'], nested: { a: [null] } };
    const handle = task.handle(await enqueueRaw(context.engine, queue, data));
    await tasks.work();
    await context.end(handle);
    assert.deepEqual(await handle.result(), data);
  },

  async 'a batch is revived with one query per model, and one bad job does not spoil it'(context) {
    const tasks = context.tasks();
    const sizes: number[] = [];
    const task = tasks.define(
      name(),
      async (list: { account: Account }[], jobs) => {
        sizes.push(list.length);
        assert.equal(new Set(jobs.map((job) => job.em)).size, 1);
        return list.map(({ account }) => account.email);
      },
      { batch: 50, retryMissingForMs: 0, retries: fast },
    );
    const accounts = await Promise.all(Array.from({ length: 20 }, (_, index) => context.account(`${index}`)));
    const handles = await task.bulk(accounts.map((account) => ({ account })));
    await context.orm.em.fork().nativeDelete(Account, accounts[7]!.id);
    const queries: number[] = [];
    const listen = (trace: unknown): void => void queries.push((trace as ReviveTrace).report!.queries);
    subscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
    try {
      await tasks.work();
      for (const [index, handle] of handles.entries()) {
        const { state } = await context.end(handle);
        assert.equal(state, index === 7 ? 'failed' : 'completed');
        if (index !== 7) assert.equal(await handle.result(), `${index}`);
      }
    } finally {
      unsubscribe('tracing:mikro-orm-byref:revive:asyncEnd', listen);
    }
    assert.deepEqual([sizes, queries], [[19], [1]]);
  },

  async 'what a context captured is encoded as arguments are'(context) {
    const account = await context.account('tenant@example.org');
    const seen: unknown[] = [];
    const tasks = context.tasks({}, context.engine, {
      context: {
        capture: () => ({ account, at: new Date(0), list: new Map([[1n, 'one']]) }),
        async run(captured, _em, next) {
          const own = captured as { account: Account; at: Date; list: Map<bigint, string> };
          seen.push(own.account.email, own.at.getTime(), own.list.get(1n));
          await next();
        },
      },
    });
    const task = tasks.define(name(), async () => undefined);
    const handle = await task.delay({});
    await context.orm.em.fork().nativeUpdate(Account, account.id, { email: 'now@example.org' });
    await tasks.work();
    assert.equal((await context.end(handle)).state, 'completed');
    assert.deepEqual(seen, ['now@example.org', 0, 'one']);
  },
};
