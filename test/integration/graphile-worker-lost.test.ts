import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeWorkerUtils } from 'graphile-worker';
import { Pool } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain } from '../../fixtures/domain.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName, until } from '../support/jobs.ts';
import { openProxied, type Proxied } from '../support/proxied.ts';

type ConnectCallback = (error: unknown, client: unknown, release: (reason?: unknown) => void) => void;

let proxied: Proxied;
let serializer: EntitySerializer;
const pools: Pool[] = [];

/** Through the proxy. */
function openPool(): Pool {
  const pool = new Pool({ connectionString: proxied.proxy.url });
  pools.push(pool);
  return pool.on('error', () => undefined).on('connect', (client) => client.on('error', () => undefined));
}

function tasksOn(pgPool: Pool, onError: (error: unknown) => void, events = new EventEmitter()): Tasks {
  const { connectionString: _, ...options } = runnerOptions(proxied.proxy.url);
  const engine = graphileWorkerEngine({ ...options, events, pgPool });
  return new Tasks(serializer, engine, { onError: ({ error }) => onError(error) });
}

beforeAll(async () => {
  proxied = await openProxied(domain);
  serializer = new EntitySerializer(proxied.database.orm);
  await (await makeWorkerUtils(runnerOptions(proxied.database.url))).release();
});
afterAll(async () => {
  for (const pool of pools) await pool.end();
  await proxied.close();
});

test('a runner whose first lookup of its tasks failed is replaced', async () => {
  const errors: unknown[] = [];
  const tasks = tasksOn(openPool(), (error) => errors.push(error));
  const task = tasks.define(queueName(), async () => 'done');
  const handle = await task.delay({});
  proxied.proxy.cutAt = 'insert into "graphile_worker"._private_tasks';
  await tasks.work();
  await until(async () => errors.length > 0);
  proxied.proxy.cutAt = undefined;
  expect(await handle.wait()).toBe('done');
  await tasks.stop();
});

test('a connection that is lost while its runner stops is released once', async () => {
  const pool = openPool();
  const releases: number[] = [];
  const connect = pool.connect.bind(pool) as (callback?: ConnectCallback) => unknown;
  pool.connect = ((callback?: ConnectCallback) => {
    if (callback === undefined) return connect();
    return connect((error, client, release) => {
      const index = releases.push(0) - 1;
      callback(error, client, (reason) => {
        if (releases[index]!++ === 0) release(reason);
      });
    });
  }) as Pool['connect'];
  const events = new EventEmitter();
  const tasks = tasksOn(pool, () => undefined, events);
  tasks.define(queueName(), async () => undefined);
  let stopped: Promise<unknown> | undefined;
  proxied.proxy.cutAt = 'listen "jobs:insert"';
  events.on('pool:listen:success', () => (stopped ??= tasks.stop()));
  await tasks.work();
  await until(async () => stopped !== undefined);
  await stopped;
  await sleep(500);
  proxied.proxy.cutAt = undefined;
  expect(releases.length).toBeGreaterThan(0);
  expect(Math.max(...releases)).toBe(1);
});
