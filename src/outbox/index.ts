/**
 * Messages that are rows of the transaction that they tell of, until a relay has handed them on.
 *
 * @module mikro-orm-byref/outbox
 * @packageDocumentation
 */
export { OutboxMessage } from './message.ts';
export { Outbox } from './outbox.ts';
export type {
  AddOptions,
  OutboxErrorReport,
  OutboxOptions,
  Publish,
  PublishCall,
  PublishedMessage,
  RelayOptions,
} from './options.ts';
