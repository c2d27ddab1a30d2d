interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
}

export interface BatchesOptions {
  /** Items in one batch, at most. */
  readonly size: number;
  /** Batches at once. */
  readonly concurrency: number;
  /** Milliseconds that a batch waits for one more item after the last. */
  readonly idleMs: number;
}

/** Single calls → batches, for engines that hand out jobs one by one: those that come together are run together. */
export class Batches<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #options: BatchesOptions;
  readonly #waiting: Waiting<Item, Result>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running = 0;

  /** `run` gives one result for each item and never rejects. */
  constructor(options: BatchesOptions, run: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#options = options;
    this.#run = run;
  }

  /** Resolves with what the batch of this item gives for it. */
  add(item: Item): Promise<Result> {
    const { promise, resolve } = Promise.withResolvers<Result>();
    const { size, idleMs } = this.#options;
    clearTimeout(this.#timer);
    if (this.#waiting.push({ item, resolve }) >= size) this.#start();
    else this.#timer = setTimeout(() => this.#start(), idleMs);
    return promise;
  }

  #start(): void {
    const { size, concurrency } = this.#options;
    while (this.#waiting.length > 0 && this.#running < concurrency) void this.#runBatch(this.#waiting.splice(0, size));
  }

  async #runBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#running++;
    const results = await this.#run(batch.map(({ item }) => item));
    this.#running--;
    for (const [index, { resolve }] of batch.entries()) resolve(results[index]!);
    this.#start();
  }
}
