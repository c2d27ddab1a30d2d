/** Jobs on their way to BullMQ: whoever closes its connections waits for them. */
export class InFlight {
  readonly #sending = new Set<Promise<unknown>>();

  async track<Sent>(sending: Promise<Sent>): Promise<Sent> {
    this.#sending.add(sending);
    return sending.finally(() => this.#sending.delete(sending));
  }

  /** Resolves when what is on its way has arrived or failed. */
  async landed(): Promise<void> {
    await Promise.allSettled(this.#sending);
  }
}
