import { isEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../wire/json.ts';

/** What Tasks puts beside the data of a job. */
export interface JobMetadata extends JsonObject {
  readonly name: string;
  /** What the option `context` captured, encoded. */
  readonly context?: JsonValue;
}

/** What Tasks has put beside a job's data; undefined for jobs of other producers. */
export function metadataOf(data: unknown): JobMetadata | undefined {
  const task = isEnvelope(data) ? data['task'] : undefined;
  const isOurs = isJsonObject(task) && typeof task['name'] === 'string';
  return isOurs ? (task as JobMetadata) : undefined;
}
