import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { isDeepStrictEqual } from 'node:util';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import { isEnvelope } from '../wire/envelope.ts';

/** What BullMQ stores of a job, written and read: its data, result, progress and its children's results. */
export class JobCodec extends AdapterCodec {
  /** Job data, always in an envelope. */
  writeData(data: unknown, entities?: Set<AnyEntity>): unknown {
    if (!this.isEncoding || isWritten(data)) return data;
    // As BullMQ has it: a job without data has an empty object.
    return this.accept(this.encode(data === undefined ? {} : data, entities));
  }

  /** A result or a progress. What plain JSON says stays plain JSON, for whoever else reads it. */
  writeValue(value: unknown): unknown {
    if (value === undefined || value === null || !this.isEncoding || isWritten(value)) return value;
    const envelope = this.encode(value);
    const isPlain = !isEnvelope(value) && isDeepStrictEqual(envelope['data'], value);
    return isPlain ? envelope['data'] : this.accept(envelope);
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

  /** Takes a value as written already, here or in another process: it is not wrapped once more. */
  accept<T>(value: T): T {
    if (typeof value === 'object' && value !== null) Reflect.defineProperty(value, WRITTEN, { value: true });
    return value;
  }
}

/** No JSON, and so no request's body, can have it. */
const WRITTEN = Symbol.for('mikro-orm-byref.written');

const isWritten = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, WRITTEN);
