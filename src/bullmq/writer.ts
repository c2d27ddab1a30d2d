import type { AnyEntity } from '@mikro-orm/core';
import type { Job } from 'bullmq';
import { InFlight } from './in-flight.ts';
import type { JobCodec } from './job-codec.ts';
import { jobClass } from './job.ts';
import type { Writing } from './options.ts';
import { Route } from './route.ts';
import { WaitingJobs } from './waiting-jobs.ts';

/** What a queue and a flow producer have in common that write by reference. */
export abstract class Writer {
  readonly job: typeof Job;
  protected readonly codec: JobCodec;
  protected readonly pool: Writing['pool'];
  protected readonly waiting: WaitingJobs;
  /** Jobs whose transaction has committed, on their way to Redis. */
  readonly #sending = new InFlight();

  constructor({ codec, pool }: Writing, base: typeof Job | undefined) {
    this.job = jobClass(codec, base);
    this.codec = codec;
    this.pool = pool;
    this.waiting = WaitingJobs.of(codec.serializer);
  }

  /** What is on its way at the end still arrives. */
  async close(close: () => Promise<void>): Promise<void> {
    await this.#sending.landed();
    await close();
  }

  protected route(entities: Iterable<AnyEntity>): Route {
    return new Route(this.codec.serializer, entities, this.pool, this.#sending);
  }
}
