/** Medians of contenders that take turns: machines are noisy, and what disturbs one of them disturbs its neighbour. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** One way to do the work; contenders of a race do the same work. */
export interface Contender {
  readonly name: string;
  run(): unknown;
}

/** What the rounds of a race measured, in milliseconds. */
export class Race {
  readonly #samples: ReadonlyMap<string, readonly number[]>;

  constructor(samples: ReadonlyMap<string, readonly number[]>) {
    this.#samples = samples;
  }

  ms(name: string): number {
    return median(this.#samples.get(name)!);
  }

  /** The median of each round's own ratio: what slows a whole round down slows both of its contenders. */
  ratio(name: string, floor: string): number {
    const floors = this.#samples.get(floor)!;
    return median(this.#samples.get(name)!.map((sample, round) => sample / floors[round]!));
  }
}

/** Below this a clock's resolution and a stray interrupt show, so short work is repeated until it takes as long. */
const SAMPLE_MS = 3;

/** `--short`: whether everything still runs, and the counts of statements. Too few rounds to tell a time. */
export const isShort = process.argv.includes('--short');
const SHORT_ROUNDS = 2;

/** Rounds before those that count, and the time they take at least: until the optimizing compiler has settled. */
const WARM_UP = isShort ? 1 : 25;
const WARM_UP_MS = 300;

/**
 * Lets the contenders take turns, in another order each round. Young garbage is collected before each turn, so that
 * nobody pays for what a neighbour left; a contender pays for its own, collected while it runs.
 */
export async function race(
  contenders: readonly Contender[],
  rounds: number,
  { warmUp: warmUps = WARM_UP, warmUpMs = WARM_UP_MS } = {},
): Promise<Race> {
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  const repeats = new Map<string, number>();
  for (const contender of contenders) {
    const warmUp: number[] = [];
    const until = performance.now() + (isShort ? 0 : warmUpMs);
    while (warmUp.length < Math.min(rounds, warmUps) || performance.now() < until)
      warmUp.push(await time(contender, 1));
    repeats.set(contender.name, Math.ceil(SAMPLE_MS / median(warmUp)));
  }
  for (let round = 0; round < (isShort ? SHORT_ROUNDS : rounds); round++) {
    for (const contender of shuffled(contenders)) {
      collectGarbage();
      samples.get(contender.name)!.push(await time(contender, repeats.get(contender.name)!));
    }
  }
  return new Race(samples);
}

async function time({ run }: Contender, repeats: number): Promise<number> {
  const startedAt = performance.now();
  for (let repeat = 0; repeat < repeats; repeat++) {
    const result = run();
    // Awaiting what is no promise would cost as much as the codec of one reference.
    if (result instanceof Promise) await result;
  }
  return (performance.now() - startedAt) / repeats;
}

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void;

/**
 * The young generation only. A full collection drops hidden classes that no object has just then, and with them the
 * optimized code that knows them: JavaScript would start cold in each turn, while the JSON of V8 itself would not.
 */
const collectGarbage = (): void => gc({ type: 'minor' });

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
