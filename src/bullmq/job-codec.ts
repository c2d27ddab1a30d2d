import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { isDeepStrictEqual } from 'node:util';
import { each, type Outcome } from '../reviving/outcomes.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { JobId } from '../tasks/seal.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { JsonObject } from '../wire/json.ts';

/** A job by what its queue has it as; BullMQ's Job is one. */
export interface Named {
  readonly name: string;
  readonly queueName: string;
}

/** A job with its data as it is stored. */
export interface StoredJob extends Named {
  readonly data: unknown;
}

/** What BullMQ stores of a job, written and read: its data, result, progress and its children's results. */
export class JobCodec extends AdapterCodec {
  /** Job data, always in an envelope. */
  writeData(data: unknown, named: Named, entities?: Set<AnyEntity>): unknown {
    return this.#writeJob(data, named, { entities });
  }

  /** Other data for a job that is there, in the context that the job was made in. */
  rewriteData(data: unknown, job: StoredJob): unknown {
    return this.#writeJob(data, job, this.#contextOf(job));
  }

  /** Where jobs are signed a result is as well, be it plain: a parent's processor believes it. */
  writeResult(value: unknown, job: JobId): unknown {
    return this.#writeValue(value, 'result', job, !this.seal.isOn);
  }

  writeProgress(value: unknown, job: JobId): unknown {
    return this.#writeValue(value, 'progress', job, true);
  }

  /** A job's data as it is stored, where jobs are signed if it is that of this job. */
  openData(job: StoredJob): Outcome<unknown> {
    return each([job], ({ data, queueName: queue, name }) => this.seal.openJob(data, { queue, name }))[0]!;
  }

  /** A result or progress as it is stored, where jobs are signed if it is that of this job. */
  openValue(value: JsonObject, { queue, id }: JobId): unknown {
    const kind = Object.hasOwn(value, 'progress') ? 'progress' : 'result';
    return this.seal.open(value, kind, (of) => of['queue'] === queue && of['id'] === id);
  }

  async readData(opened: unknown, em: EntityManager): Promise<Outcome<unknown>> {
    return (await this.read([opened], (data) => data, em))[0]!;
  }

  /** The results of other jobs, by their keys: one query per model for all. */
  async readValues(values: Readonly<Record<string, unknown>>, em: EntityManager): Promise<Record<string, unknown>> {
    const isRead = (value: unknown): boolean =>
      this.seal.isOn ? (value ?? undefined) !== undefined : isEnvelope(value);
    const written = Object.entries(values).filter(([, value]) => isRead(value));
    const results = await this.read(
      written,
      // `bull:queue:id`; the prefix may be another, and PostgreSQL has none.
      ([key, value]) => this.seal.openResult(value, ({ queue, id }) => `:${key}`.endsWith(`:${queue}:${id}`)),
      em,
    );
    const read = written.map(([key], index) => {
      const result = results[index]!;
      if (result.status === 'rejected') throw result.reason;
      return [key, result.value];
    });
    return { ...values, ...Object.fromEntries(read) };
  }

  /** Takes a value as written already, here or in another process: it is not wrapped once more. */
  accept<T>(value: T): T {
    if (typeof value === 'object' && value !== null) Reflect.defineProperty(value, WRITTEN, { value: true });
    return value;
  }

  #writeJob(data: unknown, { name, queueName: queue }: Named, options: Parameters<JobCodec['encodeJob']>[2]): unknown {
    if (!this.isEncoding || isWritten(data)) return data;
    // As BullMQ has it: a job without data has an empty object.
    return this.accept(this.encodeJob(data === undefined ? {} : data, { queue, name }, options));
  }

  /** What nobody has signed says nothing of a context. */
  #contextOf(job: StoredJob): { readonly context?: JsonObject } {
    const opened = this.openData(job);
    return this.context.isOn && opened.status === 'fulfilled' ? { context: this.context.of(opened.value) } : {};
  }

  /** What plain JSON says may stay plain JSON, for whoever else reads it. */
  #writeValue(value: unknown, kind: string, job: JobId, staysPlain: boolean): unknown {
    if (value === undefined || value === null || !this.isEncoding || isWritten(value)) return value;
    const envelope = this.encode(value);
    const isPlain = staysPlain && !isEnvelope(value) && isDeepStrictEqual(envelope['data'], value);
    return isPlain ? envelope['data'] : this.accept(this.seal.close(envelope, kind, { ...job }));
  }
}

/** No JSON, and so no request's body, can have it. */
const WRITTEN = Symbol.for('mikro-orm-byref.written');

const isWritten = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, WRITTEN);
