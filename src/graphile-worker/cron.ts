import { parseCronItem, type ParsedCronItem } from 'graphile-worker';
import { ByReferenceError } from '../errors.ts';
import type { QueueSettings } from '../tasks/engine.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { JsonObject } from '../wire/json.ts';

/** A schedule as graphile-worker's runner takes it. */
export function cronItem(
  queue: QueueSettings,
  key: string,
  cron: string,
  data: JsonObject,
  timeZone: string,
): ParsedCronItem {
  if (timeZone !== 'UTC') {
    throw ByReferenceError.unsupported(
      `The time zone ${JSON.stringify(timeZone)} of a schedule`,
      'graphile-worker’s cron knows UTC, so say the hours in that',
    );
  }
  const options = { backfillPeriod: 0, maxAttempts: queue.retries.limit + 1 };
  try {
    return parseCronItem({ task: queue.name, match: cron, options, payload: data, identifier: `byref:${key}` });
  } catch {
    throw ByReferenceError.invalidOption('cron expression', 'five fields as graphile-worker reads them', cron);
  }
}

/** graphile-worker's cron puts the time beside the data: no part of an envelope, nor of what is signed in it. */
export function withoutCron(payload: unknown): unknown {
  if (!isEnvelope(payload)) return payload;
  return Object.fromEntries(Object.entries(payload).filter(([name]) => name !== '_cron'));
}
