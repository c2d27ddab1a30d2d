/** `byref requeue`: what code of yesterday could not read, brought back by the code of today. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EntitySerializer, type EntitySerializerOptions } from 'mikro-orm-byref';
import { ByValue, defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import { DiscardJobError, type JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import { Expose } from 'class-transformer';
import type { Application } from '../../src/cli/application.ts';
import { requeue, type RequeuedTask } from '../../src/cli/requeue.ts';
import { requeueCommand } from '../../src/cli/requeue-command.ts';
import { run } from '../../src/cli/run.ts';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { engineKinds, type Opened } from '../support/engine-kinds.ts';
import { until } from '../support/jobs.ts';
import { describeWith } from '../support/test-with.ts';

const [OLD_KEY, NEW_KEY] = ['the old secret of thirty-two bytes', 'the new secret of thirty-two bytes'];

class Money {
  declare cents: number;
}
ByValue('Money')(Money);
Expose()(Money.prototype, 'cents');

class RemindBefore {
  declare user: User;
}
defineDto(RemindBefore, { user: ref(() => User) });

class Remind {
  declare user: User;
  declare days?: unknown;
}
defineDto(Remind, { user: ref(() => User), days: field({ optional: true }) });

describe.each(engineKinds)('$name', ({ needs, write }) => {
  describeWith(...needs)('with its server', () => {
    let database: TestOrm;
    let store: Opened;
    let application: Application;
    const opened: Tasks[] = [];
    const done: string[] = [];
    const handles: { readonly [name: string]: JobHandle<unknown>[] } = { back: [], not: [] };

    const tasksOf = (options: EntitySerializerOptions, signed: boolean): Tasks => {
      const serializer = new EntitySerializer(database.orm, options);
      const tasks = new Tasks(serializer, store.engine, {
        onError: () => undefined,
        ...(signed && { signed: { purpose: 'jobs' } }),
      });
      opened.push(tasks);
      return tasks;
    };
    const retries = { limit: 1, delayMs: 0, backoff: false };
    const again = (settings = {}): Promise<readonly RequeuedTask[]> =>
      requeue(application, { names: [], dryRun: false, progress: undefined, ...settings });
    const sums = (tasks: readonly RequeuedTask[]): { [task: string]: readonly number[] } =>
      Object.fromEntries(tasks.map(({ task, requeued, unreadable, left }) => [task, [requeued, unreadable, left]]));
    const states = (name: string): Promise<unknown[]> =>
      Promise.all(handles[name]!.map(async (handle) => handle.state()));

    beforeAll(async () => {
      database = await openDatabase(domain);
      store = await write(database.url);
      const em = database.orm.em.fork();
      const user = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
      const gone = em.create(User, { id: 2, name: 'Bob', email: 'bob@example.org' });
      await em.flush();

      // The code of today.
      const today = { signingKeys: [NEW_KEY, OLD_KEY], values: [Money] };
      const [now, nowSigned] = [tasksOf(today, false), tasksOf(today, true)];
      const did = (name: string) => async () => void done.push(name);
      const remind = now.define('remind', did('remind'), { as: Remind, retries });
      const log = now.define('log', did('log'), { retries });
      const added = now.define('added', did('added'), { queue: 'shared', retries });
      now.define('there', did('there'), { queue: 'shared', retries });
      const failing = now.define('failing', did('failing'), { retries });
      const sealed = nowSigned.define('sealed', did('sealed'), { retries });
      application = { serializer: new EntitySerializer(database.orm, today), tasks: [now, nowSigned] } as never;

      handles['back']!.push(
        await remind.delay({ user, days: 1 } as never),
        await log.delay({ price: Object.assign(new Money(), { cents: 5 }) }),
        await added.delay({}),
        await added.delay({ user }),
        await sealed.delay({ user }),
      );
      const raw = { queue: { name: 'log', retries, concurrency: 1, batch: 1 }, delayMs: 0, priority: 0 };
      const data = { $byref: 1, data: { $entity: ['Invoice', 1] } };
      const id = randomUUID();
      await store.engine.enqueue([{ ...raw, id, data, dedupeKey: undefined }], undefined);
      handles['not']!.push(
        log.handle(id),
        await log.delay({ gone }),
        await failing.delay({ how: 'discarded' }),
        await failing.delay({ how: 'refused' }),
      );
      await em.nativeDelete(User, 2);

      // The code of yesterday meets it.
      const [before, beforeSigned] = [tasksOf({}, false), tasksOf({ signingKeys: [OLD_KEY] }, true)];
      const never = async (): Promise<void> => void done.push('never');
      before.define('remind', never, { as: RemindBefore, retries });
      before.define('log', never, { retries, retryMissingForMs: 0 });
      before.define('there', never, { queue: 'shared', retries });
      before.define(
        'failing',
        async ({ how }: { how: string }) => {
          if (how === 'discarded') throw new DiscardJobError('on purpose');
          // Of a payload that the handler has read itself.
          await new EntitySerializer(database.orm).decode(data);
        },
        { retries },
      );
      beforeSigned.define('sealed', never, { retries });
      await before.work();
      await beforeSigned.work();
      await until(async () =>
        [...(await states('back')), ...(await states('not'))].every((state) => state === 'failed'),
      );
      await before.stop();
      await beforeSigned.stop();
      expect(done).toEqual([]);
    });
    afterAll(async () => {
      for (const tasks of opened) await tasks.stop();
      await store.close();
      await database.close();
    });

    const all = { remind: [1, 0, 0], log: [1, 1, 1], added: [2, 0, 0], sealed: [1, 0, 0], failing: [0, 0, 2] };

    test('a dry run says what would be put back, and puts nothing back', async () => {
      expect(sums(await again({ dryRun: true }))).toEqual(all);
      expect(sums(await again({ dryRun: true, names: ['added', 'failing'] }))).toEqual({
        added: all.added,
        failing: all.failing,
      });
      expect(await states('back')).toEqual(handles['back']!.map(() => 'failed'));
    });

    test('a task that is none is wrong usage', async () => {
      await expect(again({ names: ['remind', 'remnid'] })).rejects.toThrow('no such task: remnid');
    });

    test('what this code can read is put back once, whoever else does it; and runs', async () => {
      const twice = await Promise.all([again(), again(), again()]);
      const total = twice.flat().reduce((sum, { requeued }) => sum + requeued, 0);
      expect(total).toBe(5);
      expect(await states('back')).toEqual(handles['back']!.map(() => 'waiting'));
      expect(sums(await again())).toEqual({ log: [0, 1, 1], failing: [0, 0, 2] });

      for (const tasks of application.tasks) await tasks.work();
      await until(async () => (await states('back')).every((state) => state === 'completed'));
      expect(done.toSorted()).toEqual(['added', 'added', 'log', 'remind', 'sealed']);
      expect(await states('not')).toEqual(handles['not']!.map(() => 'failed'));
      expect(sums(await again())).toEqual({ log: [0, 1, 1], failing: [0, 0, 2] });
    });
  });
});

test('what it is asked that it does not know is wrong usage', async () => {
  const io = { stdin: process.stdin };
  expect(await run(['requeue', '--rows'], io)).toMatchObject({
    exitCode: 2,
    errors: expect.stringContaining('--rows'),
  });
  const nowhere = { command: 'requeue', tasks: [], dryRun: false, json: false } as const;
  await expect(requeueCommand({ ...nowhere, config: 'byref.config.gone.js' }, undefined)).rejects.toThrow(
    'no such file',
  );
});
