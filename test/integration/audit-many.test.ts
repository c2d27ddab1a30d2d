/** `byref audit` of many jobs: how long it takes, and what memory. 100,000 with `AUDIT_JOBS=100000`. */
import { randomUUID } from 'node:crypto';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { Outbox, OutboxMessage } from 'mikro-orm-byref/outbox';
import { EntitySerializer } from 'mikro-orm-byref';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { redisConnection } from '../support/bullmq.ts';
import { openDatabase } from '../support/database.ts';
import { type EngineKind, engineKinds, type Opened, prefix } from '../support/engine-kinds.ts';
import { installInto, packageFolder } from '../support/package.ts';
import { describeWith } from '../support/test-with.ts';

const COUNT = Number(process.env['AUDIT_JOBS'] ?? 5_000);

/** What an application makes its engine of. */
const ENGINES: { readonly [name: string]: string } = {
  'pg-boss': `import { PgBoss } from 'pg-boss';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
export const engine = pgBossEngine(new PgBoss(process.env.DATABASE_URL));`,
  'graphile-worker': `import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
export const engine = graphileWorkerEngine({ connectionString: process.env.DATABASE_URL });`,
  'BullMQ on Redis': `import { bullmqEngine } from 'mikro-orm-byref/bullmq';
const { hostname: host, port } = new URL(process.env.TEST_REDIS_URL);
export const engine = bullmqEngine({ connection: { host, port: Number(port) }, queue: { prefix: '${prefix}' } });`,
  'BullMQ on PostgreSQL': `import { createPostgresBackend as backend } from 'bullmq';
import { Pool } from 'pg';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
const connection = new Pool({ connectionString: process.env.DATABASE_URL, options: '-c search_path=bullmq' });
export const engine = bullmqEngine({ connection, backend });`,
  'BullMQ with an outbox': `import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { Outbox } from 'mikro-orm-byref/outbox';
import { serializer } from './serializer.js';
const { hostname: host, port } = new URL(process.env.TEST_REDIS_URL);
const queue = { prefix: '${prefix}-outbox' };
export const engine = bullmqEngine({ connection: { host, port: Number(port) }, queue, outbox: new Outbox(serializer) });`,
};

const SERIALIZER = `import { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { OutboxMessage } from 'mikro-orm-byref/outbox';
class User {}
const schema = new EntitySchema({ class: User, properties: { id: { type: 'number', primary: true } } });
const options = { entities: [schema, OutboxMessage], clientUrl: process.env.DATABASE_URL };
export const orm = MikroORM.initSync ? MikroORM.initSync(options) : new MikroORM(options);
export const serializer = new EntitySerializer(orm);
`;

const CONFIGURATION = `import { Tasks } from 'mikro-orm-byref/tasks';
import { engine } from './engine.js';
import { orm, serializer } from './serializer.js';
const tasks = new Tasks(serializer, engine);
tasks.define('mail', async () => undefined);
export default { orm, tasks };
`;

interface Kind extends Pick<EngineKind, 'name' | 'needs'> {
  write(database: TestOrm): Promise<Opened>;
}

/** Jobs that no relay has brought to Redis. */
const withOutbox: Kind = {
  name: 'BullMQ with an outbox',
  needs: ['redis-server'],
  async write({ orm }) {
    const serializer = new EntitySerializer(orm);
    const engine = bullmqEngine({ connection: redisConnection(), outbox: new Outbox(serializer) });
    const tasks = new Tasks(serializer, engine);
    return { engine, close: async () => void (await tasks.stop()) };
  },
};

const KINDS: readonly Kind[] = [
  ...engineKinds.map(({ name, needs, write }): Kind => ({ name, needs, write: ({ url }) => write(url) })),
  withOutbox,
];

describe.each(KINDS)('$name', ({ name, needs, write }) => {
  describeWith(...needs)('with its server', () => {
    let database: TestOrm;
    let folder: string;

    beforeAll(async () => {
      database = await openDatabase([...domain, OutboxMessage]);
      const { engine, close } = await write(database);
      const retries = { limit: 5, delayMs: 1_000, backoff: true };
      const queue = { name: 'mail', retries, concurrency: 1, batch: 1 };
      for (let begin = 0; begin < COUNT; begin += 1_000) {
        const jobs = Array.from({ length: Math.min(1_000, COUNT - begin) }, (_, step) => ({
          id: randomUUID(),
          queue,
          data: { $byref: 1, data: { user: { $entity: ['User', begin + step + 1] } } },
          delayMs: 0,
          priority: 0,
          dedupeKey: undefined,
        }));
        await database.orm.em.fork().transactional((em) => engine.enqueue(jobs, em));
      }
      await engine.stop();
      await close();
      folder = mkdtempSync(join(tmpdir(), 'byref-audit-'));
      installInto(folder);
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
      writeFileSync(join(folder, 'serializer.js'), SERIALIZER);
      writeFileSync(join(folder, 'engine.js'), ENGINES[name]!);
      writeFileSync(join(folder, 'byref.config.js'), CONFIGURATION);
    }, 600_000);
    afterAll(async () => {
      rmSync(folder, { recursive: true, force: true });
      await database.close();
    });

    test('many jobs take little time and memory', async () => {
      const telling = `process.on('exit', () => console.error('KB', process.resourceUsage().maxRSS))`;
      const NODE_OPTIONS = `--import "data:text/javascript,${encodeURIComponent(telling)}"`;
      const options = { cwd: folder, env: { ...process.env, DATABASE_URL: database.url, NODE_OPTIONS } };
      const command = [join(packageFolder, 'dist/cli/byref.js'), 'audit', '--rows', '--json'];
      const startedAt = performance.now();
      const { code, stdout, stderr } = (await promisify(execFile)(process.execPath, command, options).catch(
        (error: unknown) => error,
      )) as { code: number; stdout: string; stderr: string };
      const seconds = (performance.now() - startedAt) / 1_000;
      const megabytes = Number(/KB (\d+)/.exec(stderr)![1]) / 1_000;
      if (process.env['AUDIT_JOBS'])
        console.log(`${name}, ${COUNT} jobs: ${seconds.toFixed(1)} s, ${megabytes.toFixed()} MB`);
      const problems = [{ problem: 'row is gone', count: COUNT }];
      expect([code, JSON.parse(stdout)]).toMatchObject([1, { jobs: COUNT, problems }]);
      expect(seconds).toBeLessThan(60);
      expect(megabytes).toBeLessThan(300);
    });
  });
});
