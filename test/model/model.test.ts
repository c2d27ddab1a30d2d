/**
 * Random programs of an application on one EntityManager, while others change its rows, held against docs/concepts/freshness.md.
 *
 * `MODEL_COMMANDS` is how many commands a run has. A failure prints the seed and the shortest program that it found;
 * `MODEL_SEED=3055 npm run jest -- test/model/model -t 'result cache'` begins with one, in the setup where it failed.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Client } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver, has } from '../support/driver.ts';
import { programs, type Revive } from './commands.ts';
import { entities } from './entities.ts';
import { idOf } from './fields.ts';
import { found } from './found.ts';
import { isLeftOut } from './left-out.ts';
import { startingRows } from './starting-rows.ts';
import { viewOf, World } from './world.ts';

const COMMANDS = Number(process.env['MODEL_COMMANDS'] ?? 5_000);
const LONGEST = 24;

/** MikroORM's options that change how rows become entities, and where they are read from. */
const SETUPS: Record<string, object> = {
  'as it comes': {},
  joined: { loadStrategy: 'joined' },
  'select-in': { loadStrategy: 'select-in', useBatchInserts: false },
  'result cache': { resultCache: { global: 60_000 } },
  constructors: { forceEntityConstructor: true },
  'undefined for NULL': { forceUndefined: true },
  'inverse sides that are not read': { autoJoinOneToOneOwner: false },
  ...(!isMikroOrm6 && { balanced: { loadStrategy: 'balanced' } }),
  'other options': {
    autoJoinRefsForFilters: false,
    batchSize: 1,
    dataloader: true,
    flushMode: 'always',
    ignoreUndefinedInQuery: true,
    populateAfterFlush: false,
    populateWhere: 'infer',
    propagationOnPrototype: false,
    strict: true,
    validate: true,
  },
  // Its rows are those that a program starts with, whatever becomes of them.
  ...(has('replicas') && { 'a replica that lags behind': { replicas: [] } }),
};

let database: TestOrm;
let serializer: EntitySerializer;
let client: Client | undefined;
let replica: TestOrm | undefined;

async function open(setup: object): Promise<void> {
  const options = { debug: ['query', 'query-params'], useBatchUpdates: false, ...setup };
  if ('replicas' in options) {
    replica = await openDatabase(entities as never);
    await fill(replica);
    options.replicas = [{ clientUrl: replica.url }];
  }
  database = await openDatabase(entities as never, options as never);
  serializer = new EntitySerializer(database.orm);
  if (driver !== 'postgresql') return;
  client = new Client({ connectionString: database.url });
  await client.connect();
}
async function close(): Promise<void> {
  await client?.end();
  await database.close();
  await replica?.close();
  [client, replica] = [undefined, undefined];
}

/** Empties a database, and fills it. */
async function fill({ orm }: TestOrm): Promise<void> {
  for (const sql of startingRows()) await orm.em.getConnection().execute(sql);
}

/** SQL of somebody else's; where the database has one connection only, on that. */
async function elsewhere(world: World, sql: readonly string[]): Promise<boolean> {
  try {
    if (client === undefined) for (const statement of sql) await world.execute(statement);
    else await client.query([`set lock_timeout = ${world.isInTransaction ? 30 : 0}`, ...sql].join(';'));
    return true;
  } catch (error) {
    await client?.query('rollback');
    // It waits for a lock of the program's transaction, or breaks a constraint: somebody else's problem.
    if (
      /^(?:55P03|23...|SQLITE_CONSTRAINT.*|ER_DUP_ENTRY|ER_(?:NO_REFERENCED_ROW|ROW_IS_REFERENCED)_2)$/.test(
        (error as { code: string }).code,
      )
    )
      return false;
    throw error;
  }
}

/** Empties the database and starts a program. */
async function start(isTwin: boolean): Promise<World> {
  await database.orm.config.getResultCacheAdapter()?.clear();
  await fill(database);
  const world: World = new World(database, serializer, isTwin, (...sql) => elsewhere(world, sql));
  return world;
}

/** A flush, and what it leaves. */
async function flushed(world: World): Promise<unknown> {
  const told = await toldBadges(world);
  let failure: string | undefined;
  const statements = await world.sent(() => world.flush().catch((error: Error) => (failure = error.name)));
  // In which order it writes rows that know nothing of each other is its own affair: so is what it has written till then.
  if (failure !== undefined) return failure;
  const writes = statements
    .filter((statement) => /^(?:insert|update|delete)/.test(statement))
    .flatMap((statement) => withoutBadges(statement, told))
    .flatMap(world.hasRemoved ? withoutUnlinking : plain)
    .flatMap(world.hasReclassed ? withoutForeign : (statement) => statement);
  return mergeUpdates([...new Set(writes)]).sort();
}

/** The people whose badge nobody has set, and counts as changed though it is the one that their row has: see `LEFT_OUT`. */
async function toldBadges(world: World): Promise<readonly number[]> {
  if (!isLeftOut('the 1:1 of a row that was read in part in MikroORM 6')) return [];
  const told = [...world.diffs()].flatMap(([entity, names]) => {
    const isTold = names.has('badge') && names.get('badge') === undefined;
    return isTold && world.touched.get(entity)?.has('badge') !== true ? [viewOf(entity)] : [];
  });
  if (told.length === 0) return [];
  const rows = await world.rows();
  return told.flatMap(({ entity, fields }) => {
    const row = rows.find('Person', idOf(entity));
    return row !== undefined && rows.valueOf(row, 'badge') === fields.get('badge') ? [idOf(entity)] : [];
  });
}

/** A statement without the badges of these people; nothing where that is all. */
function withoutBadges(statement: string, people: readonly number[]): string[] {
  const [, id] = /^update .person. .* where .id. = (\d+)/.exec(statement) ?? [];
  if (id === undefined || !people.includes(Number(id))) return [statement];
  const rest = statement.replace(/["`]badge_id["`] = \d+, /, '');
  return /^update .person. set .changed_at. = \d+, .version. = /.test(rest) ? [] : [rest];
}

/**
 * The updates of one row as one: into how many MikroORM splits them where a 1:1 moves depends on the order in which it
 * meets the rows.
 */
function mergeUpdates(writes: readonly string[]): string[] {
  const updates = new Map<string, { readonly sets: Set<string>; readonly where: string }>();
  const others = writes.filter((statement) => {
    const [, table, sets, id, rest] =
      /^update (\S+) set (.*) where .id. = (\d+)(.*?)(?: returning .*)?$/.exec(statement) ?? [];
    if (sets === undefined) return true;
    const key = `${table} ${id}`;
    if (!updates.has(key)) updates.set(key, { sets: new Set(), where: rest! });
    // MikroORM 6 may write a row's own id to it, which says nothing.
    const saysNothing = new RegExp(`^.(?:version. =|id. = ${id}$)`);
    for (const [set] of sets.matchAll(SET)) if (!saysNothing.test(set)) updates.get(key)!.sets.add(set);
    return false;
  });
  return [
    ...others,
    ...Array.from(updates, ([row, { sets, where }]) => `update ${row}${where}: ${[...sets].sort().join(', ')}`),
  ];
}

/** Of an UPDATE: a column with its value. */
const SET = /["`]\w+["`] = (?:'(?:[^']|'')*'|[^,]+)/g;

/** A statement but for what `LEFT_OUT` names of it; nothing where that is all. */
function plain(statement: string): string[] {
  const text = statement
    .replace(/ on conflict .* do nothing$/, '')
    .replace(/^insert ignore /, 'insert ')
    // Of which class the row is to be.
    .replace(/(?<=^update .animal. .*) and .type. = '\w+'/, '');
  const [, columns, values] = /^insert into .person_teams. \((.*?)\) values (.*)$/.exec(text) ?? [];
  if (values !== undefined) {
    const isOwn = /^.person_id/.test(columns!);
    return Array.from(values.matchAll(/(\d+), (\d+)/g), ([, a, b]) => `link ${isOwn ? [a, b] : [b, a]}`);
  }
  if (!isConstructing) return [text];
  const rest = text.replaceAll(/["`](?:settings|history|labels)["`] = (?:'(?:[^']|'')*'|null),? ?/g, '');
  return /^update .person. set (?:.changed_at. = \d+, )?.version. = /.test(rest) ? [] : [rest];
}

/** Nor what MikroORM writes of rows that pointed to one that was removed, as far as they are loaded. */
function withoutUnlinking(statement: string): string[] {
  if (/^delete from .person_teams/.test(statement)) return [];
  const rest = statement.replaceAll(/["`]\w+_id["`] = null,? ?/gi, '');
  return /^update .\w+. set (?:where|.changed_at. = \d+, .version. = )/.test(rest) ? [] : plain(rest);
}

/** Nor what a row's old class had alone. */
function withoutForeign(statement: string): string[] {
  const rest = statement.replaceAll(/["`](?:bark|secret|claws|doors|manual|cargo)["`] = (?:'[^']*'|[^, ]+),? ?/g, '');
  return /^update .\w+. set where /.test(rest) ? [] : [rest.replace(/,? where /, ' where ')];
}

let executed = 0;
let isConstructing = false;
type Commands = Iterable<fc.AsyncCommand<World, World>>;

/** Runs a program twice, the second time without its last revive, and compares what a flush then writes. */
async function run(commands: Commands, last: Revive): Promise<void> {
  const ends: unknown[] = [];
  let hasReclassed = false;
  for (const isTwin of [false, true]) {
    const world = await start(isTwin);
    try {
      await fc.asyncModelRun(() => ({ model: world, real: world }), commands);
      if (!isTwin) executed += world.steps;
      world.hasReclassed = false;
      if (!isTwin) await last.run(world);
      hasReclassed ||= world.hasReclassed;
      world.hasReclassed = hasReclassed;
      ends.push(await flushed(world));
    } finally {
      await world.giveUp();
    }
  }
  const isPhantom = isConstructing && typeof ends[1] === 'string';
  if (last.options.unflushed !== 'overwrite' && !isPhantom) expect(ends[0]).toEqual(ends[1]);
}

describe.each(Object.entries(SETUPS))('%s', (name, setup) => {
  beforeAll(async () => {
    isConstructing = 'forceEntityConstructor' in setup;
    await open(setup);
  });
  afterAll(close);

  test.each(Object.entries(found))('%s', async (_name, commands) => {
    await run(commands.slice(0, -1), commands.at(-1) as Revive);
  });

  // Where undefined stands for NULL, it can't always be seen whether something lazy is loaded: fixed programs alone.
  if ('forceUndefined' in setup) return;
  test(`${COMMANDS} commands in all`, async () => {
    executed = 0;
    const first = process.env['MODEL_SEED'] ?? 13 + 1_000 * Object.keys(SETUPS).indexOf(name);
    for (let seed = Number(first); ; seed++) {
      await fc.assert(fc.asyncProperty(...programs(seed, LONGEST), run), { seed, numRuns: 20 });
      if (executed >= COMMANDS / Object.keys(SETUPS).length) return;
    }
  }, 3_600_000);
});
