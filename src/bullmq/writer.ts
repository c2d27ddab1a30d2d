import type { Job } from 'bullmq';
import { jobClass } from './job.ts';
import type { Writing } from './options.ts';

/** What a queue and a flow producer have in common that write by reference. */
export abstract class Writer {
  /** The class of their jobs. */
  readonly job: typeof Job;
  protected readonly writing: Writing;

  constructor(writing: Writing, base: typeof Job | undefined) {
    this.writing = writing;
    this.job = jobClass(writing.codec, base);
  }

  /** What is on its way at the end still arrives. */
  async close(close: () => Promise<void>): Promise<void> {
    await this.writing.sending.landed();
    await close();
  }
}
