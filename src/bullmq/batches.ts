/** Milliseconds that a batch waits for one more job: BullMQ fetches them one after the other. */
const IDLE_MS = 20;

interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
}

/** Single calls → batches: those that come together are run together, at most `size` in one, `concurrency` batches at once. */
export class Batches<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #size: number;
  readonly #concurrency: number;
  #waiting: Waiting<Item, Result>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running = 0;

  /** `run` gives one result for each item and never rejects. */
  constructor(
    { size, concurrency }: { readonly size: number; readonly concurrency: number },
    run: (items: readonly Item[]) => Promise<readonly Result[]>,
  ) {
    this.#size = size;
    this.#concurrency = concurrency;
    this.#run = run;
  }

  /** Resolves with what the batch of this item gives for it. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve) => {
      this.#waiting.push({ item, resolve });
      clearTimeout(this.#timer);
      if (this.#size === 1 || this.#waiting.length >= this.#size) this.#start();
      else this.#timer = setTimeout(() => this.#start(), IDLE_MS);
    });
  }

  #start(): void {
    while (this.#waiting.length > 0 && this.#running < this.#concurrency) {
      void this.#runBatch(this.#waiting.splice(0, this.#size));
    }
  }

  async #runBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#running++;
    const results = await this.#run(batch.map(({ item }) => item));
    this.#running--;
    for (const [index, { resolve }] of batch.entries()) resolve(results[index]!);
    this.#start();
  }
}
