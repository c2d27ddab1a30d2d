/** Random programs of nested locks: they end, and a circle that is reported is one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

let database: TestOrm;
let locks: Locks;
beforeAll(async () => {
  database = await openDatabase(domain);
  locks = new Locks(new EntitySerializer(database.orm), postgresLocks(database.orm));
});
afterAll(async () => {
  await locks.close();
  await database.close();
});

const numRuns = process.env['CI'] === undefined ? 100 : 500;

/** Takes a lock, does what is within it, and lets go. */
interface Step {
  readonly key: string;
  readonly waitsBefore: number;
  readonly within: readonly Step[];
  /** Otherwise one after the other. */
  readonly atOnce: boolean;
  /** Whether it ends with the failure of what is within, or goes on. */
  readonly fails: boolean;
}

const step: fc.Memo<Step> = fc.memo((depth) =>
  fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    waitsBefore: fc.nat(2),
    within: depth > 1 ? fc.array(step(depth - 1), { maxLength: 3 }) : fc.constant([]),
    atOnce: fc.boolean(),
    fails: fc.boolean(),
  }),
);

/** A call of `run`, as the program itself sees it. */
class Call {
  state: 'asks' | 'holds' | 'over' = 'asks';
  readonly key: string;
  readonly parent: Call | undefined;
  readonly #all: Set<Call>;

  constructor(key: string, parent: Call | undefined, all: Set<Call>) {
    this.key = key;
    this.parent = parent;
    this.#all = all;
    all.add(this);
  }

  /** Of two calls of one key, one within the other, the outer one has the lock. */
  get #hasLock(): boolean {
    for (let outer = this.parent; outer !== undefined; outer = outer.parent) if (outer.key === this.key) return false;
    return this.state === 'holds';
  }

  /** The calls that have to end before this one can go on. */
  get #awaits(): readonly Call[] {
    const others = [...this.#all].filter(({ state }) => state !== 'over');
    return this.state === 'holds'
      ? others.filter(({ parent }) => parent === this)
      : others.filter((other) => other.key === this.key && other.#hasLock);
  }

  isInCircle(): boolean {
    const seen = new Set<Call>();
    const next = [...this.#awaits];
    for (let call = next.pop(); call !== undefined; call = next.pop()) {
      if (call === this) return true;
      if (!seen.has(call)) next.push(...call.#awaits);
      seen.add(call);
    }
    return false;
  }
}

test('programs of nested locks end, and only circles are reported', async () => {
  const counts = { circles: 0, ran: 0 };

  async function perform(step: Step, parent: Call | undefined, all: Set<Call>): Promise<void> {
    for (let time = 0; time < step.waitsBefore; time++) await sleep(0);
    const call = new Call(step.key, parent, all);
    const within = async (): Promise<void> => {
      call.state = 'holds';
      counts.ran++;
      if (!step.atOnce) {
        for (const inner of step.within) await perform(inner, call, all);
        return;
      }
      const outcomes = await Promise.allSettled(step.within.map((inner) => perform(inner, call, all)));
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    };
    try {
      await locks.run(step.key, within, { waitMs: Infinity });
    } catch (error) {
      expect(error).toMatchObject({ code: 'E_LOCKED' });
      if (call.state === 'asks') {
        expect(call.isInCircle()).toBe(true);
        counts.circles++;
      }
      if (step.fails) throw error;
    } finally {
      call.state = 'over';
    }
  }

  const property = fc.asyncProperty(fc.array(step(4), { minLength: 2, maxLength: 5 }), async (program) => {
    const all = new Set<Call>();
    const performed = Promise.allSettled(program.map((one) => perform({ ...one, fails: false }, undefined, all)));
    const outcomes = await Promise.race([performed, sleep(20_000, 'hung', { ref: false })]);
    expect(outcomes).toEqual(program.map(() => ({ status: 'fulfilled', value: undefined })));
    for (const key of ['a', 'b', 'c', 'd']) expect((await locks.tryRun(key, () => 0)).ran).toBe(true);
  });
  await fc.assert(property, { numRuns, endOnFailure: true });
  expect(counts.circles).toBeGreaterThan(numRuns / 10);
  expect(counts.ran).toBeGreaterThan(numRuns * 2);
});
