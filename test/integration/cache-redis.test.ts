import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import type { BentoCache } from 'bentocache';
import { Redis } from 'ioredis';
import type { MikroORM } from '@mikro-orm/postgresql';
import { byValue, EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { COPY_MS } from '../../src/cache/tag-stamps.ts';
import { Comment, domain, Post, User } from '../../fixtures/domain.ts';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory, overRedis, redisUrl } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { soon } from '../support/soon.ts';
import { describeWith } from '../support/test-with.ts';

const HOUR = 3_600_000;

let database: TestOrm;
/** Of one test, because listeners stay on an ORM for good. */
let orm: MikroORM;
let serializer: EntitySerializer;
let open: BentoCache<never>[];

const newOrm = (): MikroORM => makeOrm({ entities: domain, clientUrl: database.url });
const fork = (): EntityManager => orm.em.fork();
const opened = (bento: unknown): BentoCache<never> => {
  open.push(bento as BentoCache<never>);
  return bento as BentoCache<never>;
};
const rename = async (name: string): Promise<void> => {
  const em = fork();
  (await em.findOneOrFail(User, 1)).name = name;
  await em.flush();
};
const page = (cache: EntityCache, factory: (em: EntityManager) => unknown = defaultFactory) =>
  cache.getOrSet({ key: 'page', ttlMs: HOUR, graceMs: HOUR, dependsOn: [Comment], em: fork(), factory });
let made: number;
const defaultFactory = async (em: EntityManager) => {
  made++;
  const user = await em.findOneOrFail(User, 1);
  return { user, name: user.name, comments: await em.count(Comment) };
};

beforeAll(async () => {
  database = await openDatabase(domain);
});
afterAll(() => database.close());
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  orm = newOrm();
  const em = fork();
  em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org', secret: 'swordfish' });
  em.create(Post, { id: 1, title: 'A post', body: '', author: 1 as never });
  await em.flush();
  serializer = new EntitySerializer(orm);
  open = [];
  made = 0;
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill();
  for (const bento of open) await bento.disconnectAll();
  await orm.close();
});

interface Child {
  tell(command: string): void;
  ask(command: string): Promise<Record<string, unknown>>;
  /** The exit code, null where it was killed. */
  end(): Promise<number | null>;
}

const children: ChildProcess[] = [];

function startProcess(prefix: string, aheadMs = 0): Child {
  const script = fileURLToPath(new URL('../support/cache-process.ts', import.meta.url));
  const args = [script, database.url, prefix, String(aheadMs)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const tell = (command: string): void => void child.stdin.write(`${command}\n`);
  return {
    tell,
    async ask(command) {
      tell(command);
      return JSON.parse((await answers.next()).value as string) as Record<string, unknown>;
    },
    async end() {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      return child.exitCode;
    },
  };
}

/** What a cache warns of at its first invalidation. */
async function warningOf(bento: unknown, options = {}): Promise<string[]> {
  const cache = new EntityCache(serializer, bento as BentoCache<never>, options);
  const emit = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  await cache.touch(User);
  await cache.touch(User);
  const warnings = emit.mock.calls.map(([message]) => String(message));
  emit.mockRestore();
  return warnings;
}

test('without a bus it is said once that only this process is invalidated', async () => {
  expect(await warningOf(inMemory())).toEqual([expect.stringMatching(/no bus.*stay in this process/)]);
  expect(await warningOf(inMemory(), { singleProcess: true })).toEqual([]);
});

describeWith('redis-server')('on Redis', () => {
  test('a bus, or no first level, needs no warning', async () => {
    expect(await warningOf(opened(overRedis()))).toEqual([]);
    expect(await warningOf(opened(overRedis(undefined, { level1: false, bus: false })))).toEqual([]);
    expect(await warningOf(opened(overRedis(undefined, { bus: false })))).toHaveLength(1);
  });

  test('what is stored is tokens, and nothing of a row unless by value', async () => {
    const prefix = randomUUID();
    const cache = new EntityCache(serializer, opened(overRedis(prefix)));
    await cache.getOrSet({
      key: ['profile', fork().getReference(User, 1)],
      ttlMs: HOUR,
      em: fork(),
      factory: async (em) => ({ user: await em.findOneOrFail(User, 1), at: new Date(0) }),
    });
    await cache.getOrSet({
      key: 'copy',
      ttlMs: HOUR,
      em: fork(),
      factory: async (em) => byValue(await em.findOneOrFail(User, 1)),
    });
    const redis = new Redis(redisUrl!);
    const dump = new Map<string, string>();
    for (const key of await redis.keys(`*${prefix}*`)) dump.set(key.replace(/^.*?byref:/, ''), (await redis.get(key))!);
    redis.disconnect();
    const values = [...dump.keys()].filter((key) => !/^(tag|level):/.test(key));
    expect(values.sort()).toEqual(['text:copy', 'value:["profile",{"$entity":["User",1]}]']);
    const stored = dump.get('value:["profile",{"$entity":["User",1]}]')!;
    expect(JSON.parse(stored).value).toEqual({
      payload: {
        $byref: 1,
        data: { user: { $entity: ['User', 1, { version: 1 }] }, at: { $date: '1970-01-01T00:00:00.000Z' } },
      },
      expiresAt: expect.any(Number),
      stamps: { 'row:["User",1]': JSON.parse(dump.get('tag:row:["User",1]')!).value },
    });
    for (const secret of ['Ann', 'ann@example.org', 'swordfish']) expect(stored).not.toContain(secret);
    expect(dump.get('text:copy')).toContain('ann@example.org');
  });

  test('a cache with an empty first level finds the value, and what was invalidated, in the second', async () => {
    const prefix = randomUUID();
    const first = new EntityCache(serializer, opened(overRedis(prefix)));
    await page(first);
    const second = new EntityCache(serializer, opened(overRedis(prefix)));
    await page(second);
    expect([made, second.stats.hits]).toEqual([1, 1]);
    await rename('Bea');
    const third = new EntityCache(serializer, opened(overRedis(prefix)));
    expect(await page(third)).toMatchObject({ name: 'Bea' });
    expect([made, third.stats.invalidated]).toEqual([2, 1]);
  });

  test('without a first level there is nothing to be told', async () => {
    const prefix = randomUUID();
    const stores = [1, 2].map(() => opened(overRedis(prefix, { level1: false, bus: false })));
    const [first, second] = stores.map((bento) => new EntityCache(serializer, bento));
    await page(first!);
    await rename('Bea');
    expect(await page(second!)).toMatchObject({ name: 'Bea' });
    expect(await page(first!)).toMatchObject({ name: 'Bea' });
    expect(made).toBe(2);
  });

  test('an unreachable store costs the visitor nothing but time', async () => {
    const errors: unknown[] = [];
    const bento = opened(overRedis(undefined, { level1: false, bus: false }));
    const cache = new EntityCache(serializer, bento, { onError: (error) => errors.push(error) });
    await page(cache);
    await bento.disconnectAll();
    open = [];
    expect(await page(cache)).toMatchObject({ name: 'Ann' });
    await rename('Bea');
    expect(await page(cache)).toMatchObject({ name: 'Bea' });
    expect(errors.length).toBeGreaterThan(0);
  });

  test.each([0, 100, -100])(
    'a commit in one process reaches the first level of another, both ways; clocks %d ms apart',
    async (aheadMs) => {
      const prefix = randomUUID();
      const cache = new EntityCache(serializer, opened(overRedis(prefix)));
      const child = startProcess(prefix, aheadMs);
      expect(await child.ask('get')).toEqual({ name: 'Ann', fresh: 'Ann', comments: 0, made: 1 });
      expect(await child.ask('get')).toMatchObject({ made: 1 });
      // Made there, found here.
      expect(await page(cache)).toMatchObject({ comments: 0 });
      expect([made, cache.stats.hits]).toEqual([0, 1]);

      for (let round = 0; round < 20; round++) {
        // Each sees at once what it has committed itself, and soon what the other has.
        await rename(`here ${round}`);
        expect(await page(cache)).toMatchObject({ name: `here ${round}` });
        await soon(async () => (await child.ask('get'))['name'] === `here ${round}`);
        expect(await child.ask(`rename there${round}`)).toMatchObject({ name: `there${round}` });
        await soon(async () => ((await page(cache)) as { name: string }).name === `there${round}`);
      }
      expect(await child.ask('7')).toEqual({ posted: '7' });
      await soon(async () => ((await page(cache)) as { comments: number }).comments === 1);
      expect(await child.end()).toBe(0);
    },
  );

  test('a process that dies between COMMIT and the invalidation leaves nothing stale', async () => {
    const prefix = randomUUID();
    const cache = new EntityCache(serializer, opened(overRedis(prefix)));
    const names = async () => ((await cache.get('name')) as string | undefined) ?? (await name(cache));
    const name = (own: EntityCache) =>
      own.getOrSet({
        key: 'name',
        ttlMs: HOUR,
        dependsOn: [User],
        em: fork(),
        factory: async (em) => (await em.findOneOrFail(User, 1)).name,
      });
    const child = startProcess(prefix);
    await child.ask('get');
    expect([await names(), await names()]).toEqual(['Ann', 'Ann']);
    child.tell('die Eve');
    await child.end();
    expect(await fork().findOneOrFail(User, 1)).toMatchObject({ name: 'Eve' });
    await soon(async () => (await names()) === 'Eve');
    expect(await names()).toBe('Eve');
    // Nor in one that starts now.
    expect(await name(new EntityCache(serializer, opened(overRedis(prefix))))).toBe('Eve');
  });

  test('a message of the bus that is lost costs seconds', async () => {
    const prefix = randomUUID();
    const deaf = new EntityCache(serializer, opened(overRedis(prefix, { bus: false })), { singleProcess: true });
    const otherOrm = newOrm();
    const other = new EntityCache(new EntitySerializer(otherOrm), opened(overRedis(prefix)));
    const count = (cache: EntityCache) =>
      cache.getOrSet({ key: 'posts', ttlMs: HOUR, dependsOn: [Post], em: fork(), factory: (em) => em.count(Post) });
    expect([await count(deaf), await count(other), await count(deaf)]).toEqual([1, 1, 1]);
    await fork().nativeDelete(Post, {});
    await other.touch(Post);
    expect(await count(other)).toBe(0);
    await sleep(COPY_MS + 100);
    expect(await count(deaf)).toBe(0);
    await otherOrm.close();
  });

  test('a factory that read before a commit in another process is not believed after it', async () => {
    const prefix = randomUUID();
    const cache = new EntityCache(serializer, opened(overRedis(prefix)));
    const otherOrm = newOrm();
    const other = new EntityCache(new EntitySerializer(otherOrm), opened(overRedis(prefix)));
    const { promise: paused, resolve: go } = Promise.withResolvers<void>();
    const { promise: hasRead, resolve: read } = Promise.withResolvers<void>();
    const slow = page(cache, async (em) => {
      const value = await defaultFactory(em);
      read();
      await paused;
      return value;
    });
    await hasRead;
    await other.touch(Comment);
    go();
    await slow;
    await soon(async () => {
      await page(cache);
      return made === 2;
    });
    await otherOrm.close();
  });
});
