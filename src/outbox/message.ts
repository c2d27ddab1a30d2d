import { BigIntType, EntitySchema } from '@mikro-orm/core';
import { ExactText } from './exact-text.ts';
import { ByReference } from '../models/by-reference.ts';
import type { JsonObject } from '../wire/json.ts';

/**
 * A message that waits for a relay, or a dead letter: a row of the table `byref_outbox`. List it among the entities of
 * the ORM, so that its migrations make the table: `entities: [Order, OutboxMessage]`.
 */
export class OutboxMessage {
  /** As `add` has returned it. */
  declare id: string;
  /** As it was given to `add`. */
  declare topic: string;
  /** The value, its entities as tokens: `{ $byref: 1, data: … }`. */
  declare payload: JsonObject;
  /** When it was added, by the clock of that process. */
  declare createdAt: Date;
  /**
   * When a relay may take it, in milliseconds since 1970 by the clock of the database: 0 for at once. Null for a dead
   * letter, which no relay takes: `{ availableAt: 0, attempts: 0 }` gives it back to them.
   */
  declare availableAt: number | null;
  /** How often a relay has taken it. */
  declare attempts: number;
  /** Of the relay that has taken it, until `availableAt`. */
  declare claim: string | null;
  /** What it failed with last: `TypeError: …`. */
  declare error: string | null;
}

// Whatever the application names its models by, and however it answers requests.
ByReference({ name: 'mikro-orm-byref.OutboxMessage', toJSON: false })(OutboxMessage);

/** Known to MikroORM by its class. Columns have names of their own, whatever the naming strategy. */
export const outboxSchema: EntitySchema<OutboxMessage> = new EntitySchema<OutboxMessage>({
  class: OutboxMessage,
  tableName: 'byref_outbox',
  properties: {
    id: { type: ExactText, fieldName: 'id', length: 255, primary: true },
    topic: { type: 'string', fieldName: 'topic', length: 255 },
    payload: { type: 'json', fieldName: 'payload' },
    createdAt: { type: 'Date', fieldName: 'created_at', length: 3 },
    availableAt: { type: new BigIntType('number'), fieldName: 'available_at', nullable: true },
    attempts: { type: 'integer', fieldName: 'attempts' },
    claim: { type: 'string', fieldName: 'claim', length: 36, nullable: true },
    error: { type: 'text', fieldName: 'error', nullable: true },
  },
  // In this order relays take them: new ones first, the oldest of them first.
  indexes: [{ name: 'byref_outbox_due', properties: ['availableAt', 'createdAt'] }],
});
