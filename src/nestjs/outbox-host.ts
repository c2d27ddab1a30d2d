import type { BeforeApplicationShutdown, OnApplicationBootstrap, Provider } from '@nestjs/common';
import { Outbox } from '../outbox/outbox.ts';
import { type ByReferenceModuleOptions, OPTIONS } from './options.ts';

/** Relays for as long as an application runs that works. */
export class OutboxHost implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #outbox: Outbox;
  readonly #options: ByReferenceModuleOptions;
  readonly #stopping = new AbortController();
  #relaying: Promise<void> | undefined;

  constructor(outbox: Outbox, options: ByReferenceModuleOptions) {
    this.#outbox = outbox;
    this.#options = options;
  }

  onApplicationBootstrap(): void {
    const { outbox, work } = this.#options;
    if (outbox !== undefined && work === true) this.#relaying = this.#outbox.relay({ signal: this.#stopping.signal });
  }

  /** What is under way needs the ORM, which closes with the application. The rest is another relay's. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#relaying;
  }
}

export const OUTBOX_HOST: Provider = {
  provide: OutboxHost,
  inject: [Outbox, OPTIONS],
  useFactory: (outbox: Outbox, options: ByReferenceModuleOptions) => new OutboxHost(outbox, options),
};
