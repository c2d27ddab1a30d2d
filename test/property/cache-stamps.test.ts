import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BentoCache } from 'bentocache';
import fc from 'fast-check';
import { TagStamps } from '../../src/cache/tag-stamps.ts';
import { type Stamps, Witness } from '../../src/cache/witness.ts';
import { SlowStore } from '../support/slow-store.ts';

const numRuns = process.env['CI'] === undefined ? 300 : 1_000;
const ROWS = [0, 1, 2];
const MODEL = 'model:Row';
const rowTag = (row: number): string => `row:${row}`;

/** How far the clock of the process is off that is running. */
const clock = new AsyncLocalStorage<number>();
const { now } = Date;
beforeAll(() => void (Date.now = () => now() + (clock.getStore() ?? 0)));
afterAll(() => void (Date.now = now));

type Op =
  | { readonly kind: 'read'; readonly page: number }
  | { readonly kind: 'commit' | 'die' | 'roll back'; readonly rows: readonly number[] };

/** What a page was made of: for each of its rows its version then, and how many commits there had been. */
interface Value {
  readonly rows: Readonly<Record<number, number>>;
  readonly commits: number;
  readonly stamps: Stamps;
}

/** The rows that a page finds while it is made; the last one hangs on the whole model, too. */
const PAGES: readonly (readonly number[])[] = [[0, 1], [1, 2], []];
const dependsOn = (page: number): string[] => (page === 2 ? [MODEL] : []);

/** A database: what is committed is there for all at once. */
class Rows {
  readonly versions = ROWS.map(() => 0);
  commits = 0;

  commit(rows: readonly number[]): void {
    for (const row of rows) this.versions[row]!++;
    this.commits++;
  }

  /** Runs writers one after the other, where `isSerial`. */
  async write(isSerial: boolean, run: () => Promise<unknown>): Promise<void> {
    if (!isSerial) return void (await run());
    this.#last = this.#last.then(run);
    await this.#last;
  }
  #last: Promise<unknown> = Promise.resolve();

  read(page: number): Omit<Value, 'stamps'> {
    return { rows: Object.fromEntries(PAGES[page]!.map((row) => [row, this.versions[row]!])), commits: this.commits };
  }
}

/** One process: its cache, and what it has been told is committed. */
class Process {
  readonly #bento: BentoCache<never>;
  readonly #stamps: TagStamps;
  readonly #database: Rows;
  readonly #pause: () => Promise<void>;
  readonly #own = ROWS.map(() => 0);
  #ownCommits = 0;
  isDead = false;
  hits = 0;

  close(): Promise<void> {
    return this.#bento.disconnectAll();
  }

  constructor(store: SlowStore, database: Rows, pause: () => Promise<void>) {
    this.#bento = store.open();
    this.#stamps = new TagStamps(this.#bento);
    this.#database = database;
    this.#pause = pause;
  }

  /** Nothing that this process has committed may be missing in what it reads. */
  async checkedRead(page: number): Promise<void> {
    const own = { versions: [...this.#own], commits: this.#ownCommits };
    const { rows, commits } = await this.read(page);
    for (const [row, version] of Object.entries(rows))
      expect(version).toBeGreaterThanOrEqual(own.versions[Number(row)]!);
    if (dependsOn(page).length > 0) expect(commits).toBeGreaterThanOrEqual(own.commits);
  }

  async read(page: number): Promise<Omit<Value, 'stamps'>> {
    const key = `page:${page}`;
    const stored = (await this.#bento.get({ key } as never)) as Value | undefined;
    if (stored !== undefined && (await this.#isGood(stored))) {
      this.hits++;
      return stored;
    }
    const witness = await Witness.of(this.#stamps, [MODEL]);
    await this.#pause();
    const value = this.#database.read(page);
    await this.#pause();
    const rows = PAGES[page]!.map((row) => ({ tag: rowTag(row), models: [MODEL] }));
    const stamps = await witness.swear(dependsOn(page), rows, undefined);
    if (stamps !== undefined) await this.#bento.set({ key, value: { ...value, stamps }, ttl: 3_600_000 } as never);
    return value;
  }

  async write(kind: Exclude<Op['kind'], 'read'>, rows: readonly number[]): Promise<void> {
    const tags = new Set([...rows.map(rowTag), MODEL]);
    await this.#stamps.open(tags);
    await this.#pause();
    if (kind !== 'roll back') this.#database.commit(rows);
    const { versions, commits } = { versions: [...this.#database.versions], commits: this.#database.commits };
    await this.#pause();
    if (kind === 'die') {
      this.isDead = true;
      return;
    }
    await this.#stamps.close(tags);
    if (kind === 'roll back') return;
    for (const row of rows) this.#own[row] = Math.max(this.#own[row]!, versions[row]!);
    this.#ownCommits = Math.max(this.#ownCommits, commits);
  }

  async #isGood({ stamps }: Value): Promise<boolean> {
    for (const [tag, stamp] of Object.entries(stamps)) if ((await this.#stamps.read(tag)) !== stamp) return false;
    return true;
  }
}

const rows = fc.subarray(ROWS, { minLength: 1 });
/** Each process with its clock, and what several of its requests do, one after the other. */
const program = (rare: 'die' | 'roll back') => {
  const op: fc.Arbitrary<Op> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), page: fc.nat({ max: 2 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), rows }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant(rare), rows }) },
  );
  const requests = fc.array(fc.array(op, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });
  const process = fc.record({ skewMs: fc.integer({ min: -5_000, max: 5_000 }), requests });
  return fc.record({ processes: fc.array(process, { minLength: 2, maxLength: 3 }), seed: fc.integer() });
};

/** The same pauses for the same seed (mulberry32): short ones, and now and then one that outlasts many of them. */
function pausing(seed: number): () => Promise<void> {
  let state = seed;
  return async () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    const random = (mixed ^ (mixed >>> 14)) >>> 0;
    for (let turns = random % 8 === 0 ? 30 : random % 3; turns > 0; turns--) await setImmediate();
  };
}

test.each([
  ['commits that overlap, and rollbacks', 'roll back', false],
  // Of two that overlap, the one that lives would close what the other has left open; so would who meets a tag first.
  ['processes that die between a commit and its end', 'die', true],
] as const)(
  'whatever the clocks say, no process misses what it has committed, and nothing stays stale: %s',
  async (_name, rare, isSerial) => {
    let hits = 0;
    await fc.assert(
      fc.asyncProperty(program(rare), async ({ processes, seed }) => {
        const pause = pausing(seed);
        const store = new SlowStore(pause);
        const database = new Rows();
        const all = processes.map(({ skewMs, requests }) => ({
          skewMs,
          requests,
          process: clock.run(skewMs, () => new Process(store, database, pause)),
        }));
        if (isSerial) {
          const [{ skewMs, process }] = all as [(typeof all)[0]];
          for (const page of PAGES.keys()) await clock.run(skewMs, () => process.read(page));
        }
        const serve = async (own: Process, ops: readonly Op[]): Promise<void> => {
          for (const op of ops) {
            if (own.isDead) return;
            if (op.kind === 'read') await own.checkedRead(op.page);
            else await database.write(isSerial, async () => own.isDead || (await own.write(op.kind, op.rows)));
          }
        };
        const serving = all.flatMap(({ skewMs, requests, process }) =>
          requests.map((ops) => clock.run(skewMs, () => serve(process, ops))),
        );
        try {
          await Promise.all(serving);
          while (!store.isQuiet) await setImmediate();
          for (const { skewMs, process } of all.filter(({ process: { isDead } }) => !isDead)) {
            // What is found the second time was stored.
            for (const page of [...PAGES.keys(), ...PAGES.keys()]) {
              const { rows: found, commits } = await clock.run(skewMs, () => process.read(page));
              expect(found).toEqual(database.read(page).rows);
              if (dependsOn(page).length > 0) expect(commits).toBe(database.commits);
            }
          }
        } finally {
          for (const { process } of all) {
            hits += process.hits;
            await process.close();
          }
        }
      }),
      { numRuns, endOnFailure: true },
    );
    expect(hits).toBeGreaterThan(numRuns);
  },
  300_000,
);
