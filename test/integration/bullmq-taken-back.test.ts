import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import type { Queue } from 'bullmq';
import { EntitySerializer } from 'mikro-orm-byref';
import { byReference, type ByReferenceClasses } from 'mikro-orm-byref/bullmq';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import type { Store } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { describeStores } from '../support/describe-stores.ts';
import { queueName, until } from '../support/jobs.ts';

describeStores('a job that waits for the commit', ({ open }) => {
  let database: TestOrm;
  let store: Store;
  let classes: ByReferenceClasses;
  const opened: { close(): Promise<void> }[] = [];

  const em = (): EntityManager => database.orm.em.fork();
  const settings = (): { connection: never } => ({ connection: store.connection as never });
  function closing<T extends { close(): Promise<void> }>(one: T): T {
    opened.push(one);
    return one;
  }
  const queueOf = (name: string = queueName()): Queue =>
    closing(new classes.Queue(name, settings(), ...store.backend)) as Queue;
  /** The names of the jobs that are there when a later one of the same queue is. */
  const namesIn = async (queue: Queue): Promise<string[]> => {
    const last = await queue.add('last', {});
    await until(async () => (await queue.getJob(last.id!)) !== undefined);
    const jobs = await queue.getJobs(['waiting', 'delayed', 'prioritized', 'waiting-children']);
    return jobs
      .map((job) => job.name)
      .filter((name) => name !== 'last')
      .sort();
  };

  beforeAll(async () => {
    database = await openDatabase(domain);
    store = await open(database.url);
    classes = byReference(new EntitySerializer(database.orm));
    const own = em();
    own.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
    await own.flush();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });
  afterAll(async () => {
    await store.close();
    await database.close();
  });

  test('is taken back by remove(), by the queue that added it, another one of its name, or the job itself', async () => {
    const [queue, other] = [queueOf(), queueOf()];
    const twin = queueOf(queue.name);
    const outside = AsyncLocalStorage.snapshot();
    await em().transactional(async (own) => {
      const user = await own.findOneOrFail(User, 1);
      const [one, two, three, four] = await queue.addBulk(
        ['one', 'two', 'three', 'four'].map((name) => ({ name, data: { user } })),
      );
      const five = await queue.add('five', { user });
      expect(await queue.remove(one!.id!)).toBe(1);
      // By whoever was told of its id: a request at the same time.
      expect(await outside(() => twin.remove(two!.id!))).toBe(1);
      await four!.remove();
      await other.remove(three!.id!);
      expect(await queue.remove(five.id!)).toBe(1);
    });
    expect(await namesIn(queue)).toEqual(['three']);
  });

  test('right after the commit it is found and removed', async () => {
    const queue = queueOf();
    const { id } = await em().transactional(async (own) => {
      const user = await own.findOneOrFail(User, 1);
      return queue.add('one', { user });
    });
    expect(await queue.remove(id!)).toBe(1);
    expect(await namesIn(queue)).toEqual([]);
  });

  test('an id that was taken back can be added again, and one that is stored as well is removed with it', async () => {
    const queue = queueOf();
    await queue.add('stored', {}, { jobId: 'the-same' });
    await em().transactional(async (own) => {
      const user = await own.findOneOrFail(User, 1);
      await queue.add('waiting', { user }, { jobId: 'the-same' });
      expect(await queue.remove('the-same')).toBe(1);
      await queue.add('again', { user }, { jobId: 'the-same' });
    });
    expect(await namesIn(queue)).toEqual(['again']);
  });

  test('of a flow a child goes alone, a parent with its children', async () => {
    const [queue, children] = [queueOf(), queueOf()];
    const flows = closing(new classes.FlowProducer(settings(), ...store.backend));
    await em().transactional(async (own) => {
      const data = { user: await own.findOneOrFail(User, 1) };
      const child = (name: string) => ({ name, queueName: children.name, data });
      const flowOf = (name: string) => ({
        name,
        queueName: queue.name,
        data,
        children: [child(`${name} 1`), child(`${name} 2`)],
      });
      const [whole, part] = await flows.addBulk([flowOf('whole'), flowOf('part')]);
      await queue.remove(whole!.job.id!);
      await children.remove(part!.children![0]!.job.id!);
    });
    expect(await namesIn(queue)).toEqual(['part']);
    expect(await namesIn(children)).toEqual(['part 2']);
  });

  test('drain() takes back what does not wait for a time, obliterate() everything, schedulers too', async () => {
    for (const clear of ['drain', 'obliterate'] as const) {
      const queue = queueOf();
      await em().transactional(async (own) => {
        const user = await own.findOneOrFail(User, 1);
        await queue.add('now', { user });
        await queue.add('later', { user }, { delay: 60_000 });
        await queue.upsertJobScheduler('hourly', { every: 3_600_000 }, { name: 'scheduled', data: { user } });
        await (clear === 'drain' ? queue.drain() : queue.obliterate());
        await queue.add('after', { user });
      });
      if (clear === 'obliterate') await queue.resume();
      expect(await namesIn(queue)).toEqual(clear === 'drain' ? ['after', 'later', 'scheduled'] : ['after']);
    }
    const queue = queueOf();
    await em().transactional(async (own) => {
      const data = { user: await own.findOneOrFail(User, 1) };
      await queue.upsertJobScheduler('hourly', { every: 3_600_000 }, { data });
      await queue.upsertJobScheduler('daily', { every: 86_400_000 }, { data });
      expect(await queue.removeJobScheduler('hourly')).toBe(true);
    });
    await namesIn(queue);
    expect((await queue.getJobSchedulers()).map(({ key }) => key)).toEqual(['daily']);
  });
});
