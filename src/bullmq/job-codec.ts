import { isDeepStrictEqual } from 'node:util';
import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { isEnvelope } from '../envelope.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';

/** What BullMQ stores of a job, written and read: its data, result, progress and its children's results. */
export class JobCodec extends AdapterCodec {
  /** What was written here: BullMQ hands it on between its own methods, and it must not be wrapped again. */
  readonly #written = new WeakSet<object>();

  /** Job data, always in an envelope. */
  writeData(data: unknown, entities?: Set<AnyEntity>): unknown {
    return this.#isLeft(data) ? data : this.#mark(this.encode(data, entities));
  }

  /** A result or a progress. What plain JSON says stays plain JSON, for whoever else reads it. */
  writeValue(value: unknown): unknown {
    if (this.#isLeft(value)) return value;
    const envelope = this.encode(value);
    const isPlain = !isEnvelope(value) && isDeepStrictEqual(envelope['data'], value);
    return isPlain ? envelope['data'] : this.#mark(envelope);
  }

  /** The results of other jobs, by their keys: one query per model for all. */
  async readValues(values: Readonly<Record<string, unknown>>, em: EntityManager): Promise<Record<string, unknown>> {
    const written = Object.entries(values).filter(([, value]) => isEnvelope(value));
    const results = await this.read(
      written.map(([, value]) => value),
      em,
    );
    const read = written.map(([key], index) => {
      const result = results[index]!;
      if (result.status === 'rejected') throw result.reason;
      return [key, result.value];
    });
    return { ...values, ...Object.fromEntries(read) };
  }

  #isLeft(value: unknown): boolean {
    if (value === undefined || value === null || !this.isEncoding) return true;
    return typeof value === 'object' && this.#written.has(value);
  }

  #mark<T extends object>(envelope: T): T {
    this.#written.add(envelope);
    return envelope;
  }
}
