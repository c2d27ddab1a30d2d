/**
 * Random programs of an application on one EntityManager, while others change its rows, held against docs/freshness.md.
 *
 * `MODEL_COMMANDS` is how many commands a run has. A failure prints the seed and the shortest program that it found;
 * `MODEL_SEED` runs one again.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Client } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { programs, reviving } from './commands.ts';
import { entities } from './entities.ts';
import { startingRows } from './starting-rows.ts';
import { World } from './world.ts';

const COMMANDS = Number(process.env['MODEL_COMMANDS'] ?? 5_000);
const SEED = Number(process.env['MODEL_SEED'] ?? 13);
const LONGEST = 24;

/** MikroORM's options that change how rows become entities, and where they are read from. */
const SETUPS: Record<string, object> = {
  'as it comes': {},
  joined: { loadStrategy: 'joined' },
  'select-in': { loadStrategy: 'select-in', useBatchInserts: false },
  'result cache': { resultCache: { global: 60_000 } },
  constructors: { forceEntityConstructor: true },
};

let database: TestOrm;
let serializer: EntitySerializer;
let client: Client | undefined;

async function open(setup: object): Promise<void> {
  const options = { debug: ['query', 'query-params'], useBatchUpdates: false, ...setup };
  database = await openDatabase(entities as never, options as never);
  serializer = new EntitySerializer(database.orm);
  if (driver !== 'postgresql') return;
  client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('set lock_timeout = 30');
}
async function close(): Promise<void> {
  await client?.end();
  await database.close();
}

/** SQL of somebody else's; where the database has one connection only, on that. */
async function elsewhere(world: World, sql: readonly string[]): Promise<boolean> {
  try {
    if (client === undefined) for (const statement of sql) await world.execute(statement);
    else await client.query(sql.join(';'));
    return true;
  } catch (error) {
    // It waits for a lock of the program's transaction, or breaks a constraint: somebody else's problem.
    if (/^(?:55P03|23...|SQLITE_CONSTRAINT.*)$/.test((error as { code: string }).code)) return false;
    throw error;
  }
}

/** Empties the database and starts a program. */
async function start(isTwin: boolean): Promise<World> {
  await database.orm.config.getResultCacheAdapter()?.clear();
  for (const sql of startingRows) await database.orm.em.getConnection().execute(sql);
  const world: World = new World(database, serializer, isTwin, (...sql) => elsewhere(world, sql));
  return world;
}

/** A flush, and what it leaves. */
async function flushed(world: World): Promise<unknown> {
  let failure: string | undefined;
  const statements = await world.sent(() => world.flush().catch((error: Error) => (failure = error.name)));
  const writes = statements.filter((statement) => /^(?:insert|update|delete)/.test(statement)).flatMap(plain);
  return { failure, writes: [...new Set(writes)].sort() };
}

/** A statement but for what `LEFT_OUT` names of it; nothing where that is all. */
function plain(statement: string): string[] {
  const text = statement.replace(/ on conflict .* do nothing$/, '');
  if (!isConstructing) return [text];
  const rest = text.replaceAll(/["`](?:settings|history|labels)["`] = (?:'(?:[^']|'')*'|null),? ?/g, '');
  return /^update .person. set (?:.changed_at. = \d+, )?.version. = /.test(rest) ? [] : [rest];
}

let executed = 0;
let isConstructing = false;
const program = fc.asyncProperty(programs(LONGEST), reviving, async (commands, last) => {
  const ends: unknown[] = [];
  for (const isTwin of [false, true]) {
    const world = await start(isTwin);
    try {
      await fc.asyncModelRun(() => ({ model: world, real: world }), commands);
      if (!isTwin) executed += world.steps;
      if (!isTwin) await last.run(world);
      ends.push(await flushed(world));
    } finally {
      await world.giveUp();
    }
  }
  const isPhantom = isConstructing && (ends[1] as { failure?: string }).failure !== undefined;
  if (last.options.unflushed !== 'overwrite' && !isPhantom) expect(ends[0]).toEqual(ends[1]);
});

describe.each(Object.entries(SETUPS))('%s', (name, setup) => {
  beforeAll(() => open(setup));
  afterAll(close);

  test(`${COMMANDS} commands in all`, async () => {
    executed = 0;
    isConstructing = 'forceEntityConstructor' in setup;
    for (let seed = SEED + 1_000 * Object.keys(SETUPS).indexOf(name); ; seed++) {
      await fc.assert(program, { seed, numRuns: 20 });
      if (executed >= COMMANDS / Object.keys(SETUPS).length) return;
    }
  }, 3_600_000);
});
