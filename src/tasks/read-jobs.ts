import type { EntitySerializer } from '../entity-serializer.ts';
import { isEnvelope } from '../envelope.ts';
import type { JsonValue } from '../json.ts';
import type { DeserializeOptions } from '../options.ts';

/**
 * What handlers receive of the data of their jobs: the rows of now, one query per model for all. Data without an
 * envelope is of before this library, and passes as it is unless it is to be refused.
 */
export async function readJobs(
  serializer: EntitySerializer,
  list: readonly unknown[],
  plain: 'pass' | 'refuse',
  options: DeserializeOptions,
): Promise<PromiseSettledResult<unknown>[]> {
  const passes = list.map((data) => plain === 'pass' && !isEnvelope(data));
  const payloads = list.filter((_, index) => !passes[index]) as JsonValue[];
  const results = (await serializer.decodeAll(payloads, options)).values();
  return list.map((data, index) =>
    passes[index] ? { status: 'fulfilled', value: structuredClone(data) } : results.next().value!,
  );
}
