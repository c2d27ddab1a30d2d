/**
 * Random programs of an application on one EntityManager, while others change its rows, held against docs/freshness.md.
 *
 * `MODEL_COMMANDS` is how many commands a run has. A failure prints the seed and the shortest program that it found;
 * `MODEL_SEED` runs one again.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Client } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { programs, reviving } from './commands.ts';
import { entities } from './entities.ts';
import { modelOf } from './fields.ts';
import { startingRows } from './starting-rows.ts';
import { World } from './world.ts';

const COMMANDS = Number(process.env['MODEL_COMMANDS'] ?? 5_000);
const SEED = Number(process.env['MODEL_SEED'] ?? 13);
const LONGEST = 24;

let database: TestOrm;
let serializer: EntitySerializer;
let client: Client | undefined;

beforeAll(async () => {
  database = await openDatabase(entities as never, { debug: ['query', 'query-params'] } as never);
  serializer = new EntitySerializer(database.orm);
  if (driver !== 'postgresql') return;
  client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('set lock_timeout = 30');
});
afterAll(async () => {
  await client?.end();
  await database.close();
});

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
  for (const sql of startingRows) await database.orm.em.getConnection().execute(sql);
  const world: World = new World(database, serializer, isTwin, (...sql) => elsewhere(world, sql));
  return world;
}

/** A flush, and what it leaves. */
async function flushed(world: World): Promise<unknown> {
  let failure: string | undefined;
  const statements = await world.sent(() => world.flush().catch((error: Error) => (failure = error.name)));
  const writes = statements.filter((statement) => /^(?:insert|update|delete)/.test(statement)).map(plain);
  return { failure, writes: [...new Set(writes)].sort() };
}

/** MikroORM writes a new row of a pivot table from the one side, the other side, or both. */
const plain = (statement: string): string => statement.replace(/ on conflict .* do nothing$/, '');

async function clashes(world: World): Promise<boolean> {
  if (world.created.size === 0) return false;
  const stored = await world.rows();
  return [...world.created].some((key) => {
    const [name, id] = key.split(' ');
    return stored.find(modelOf(name!).root, Number(id)) !== undefined;
  });
}

let executed = 0;
const program = fc.asyncProperty(programs(LONGEST), reviving, async (commands, last) => {
  const ends: unknown[] = [];
  for (const isTwin of [false, true]) {
    const world = await start(isTwin);
    try {
      await fc.asyncModelRun(() => ({ model: world, real: world }), commands);
      if (!isTwin) executed += world.steps;
      // A new entity whose key a row has already, MikroORM no longer inserts once it has read that row.
      if (!isTwin && !(await clashes(world))) await last.run(world);
      ends.push(await flushed(world));
    } finally {
      await world.giveUp();
    }
  }
  if (last.options.unflushed !== 'overwrite') expect(ends[0]).toEqual(ends[1]);
});

test(`${COMMANDS} commands`, async () => {
  for (let seed = SEED; ; seed++) {
    await fc.assert(program, { seed, numRuns: 20 });
    if (executed >= COMMANDS) return;
  }
}, 3_600_000);
