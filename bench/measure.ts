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

/**
 * Lets the contenders take turns, in another order each round, so that none always pays for the garbage of the same
 * neighbour. Rounds to warm up come before.
 */
export async function race(contenders: readonly Contender[], rounds: number): Promise<Race> {
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -Math.min(rounds, WARM_UP); round < rounds; round++) {
    for (const { name, run } of shuffled(contenders)) {
      const startedAt = performance.now();
      await run();
      const ms = performance.now() - startedAt;
      if (round >= 0) samples.get(name)!.push(ms);
    }
  }
  return new Race(samples);
}

const WARM_UP = 25;

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

/** Lines of cells, aligned: the first column left, the others right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
    )
    .join('\n');
}
