import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { check } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { DeserializeOptions } from '../options.ts';
import { ByReferenceError } from '../errors.ts';
import type { JsonObject } from '../wire/json.ts';
import { ADAPTER_CHECKS, type AdapterOptions } from './adapter-options.ts';
import type { Outcome } from './engine.ts';
import { kept, readJobs, unreadable } from './outcome.ts';

/** The data of jobs, written and read as the options of an adapter say. */
export class AdapterCodec {
  readonly serializer: EntitySerializer;
  readonly #options: AdapterOptions;
  /** Those of them that are about reviving. */
  readonly #revive: DeserializeOptions;

  constructor(serializer: EntitySerializer, options: AdapterOptions) {
    if (typeof (serializer as Partial<EntitySerializer> | undefined)?.encode !== 'function') {
      throw ByReferenceError.invalidOption('serializer', 'an EntitySerializer', serializer);
    }
    check(options, ADAPTER_CHECKS, 'option ');
    const { only, missing, populate, signed } = options;
    const revive = Object.entries({ only, missing, populate, signed }).filter(([, value]) => value !== undefined);
    this.#revive = Object.fromEntries(revive);
    serializer.refuseWrongOptions(this.#revive);
    this.serializer = serializer;
    this.#options = options;
  }

  /** Whether producers write tokens yet. */
  get isEncoding(): boolean {
    return this.#options.encode !== false;
  }

  /** What looks encoded is data all the same, or a request's body could name rows. */
  encode(value: unknown, entities?: Set<AnyEntity>): JsonObject {
    const { signed } = this.#options;
    const options = signed ? { sign: { purpose: signed.purpose, expiresAt: null } } : {};
    return this.serializer.encodeTelling(value, options, { entity: (entity) => entities?.add(entity) });
  }

  /** What handlers receive, one query per model for all; an outcome for each. */
  read(list: readonly unknown[], em: EntityManager): Promise<PromiseSettledResult<unknown>[]> {
    const { signed, plain } = this.#options;
    return readJobs(this.serializer, list, plain ?? (signed ? 'refuse' : 'pass'), { ...this.#revive, em });
  }

  /** What becomes of a job that can't be read. */
  unreadable(enqueuedAt: Date, error: unknown): Outcome {
    return unreadable(enqueuedAt, error, this.#options.retryMissingForMs ?? 10_000);
  }

  kept(result: unknown): Outcome {
    return kept(this.serializer, result);
  }
}
