import type { IncomingRequest, IncomingResponse, OutgoingRequest } from '@nestjs/microservices';
import { isObject } from '../check.ts';

/** A message as it goes out: an event has no id, as nothing answers it. */
export type OutgoingMessage = Omit<OutgoingRequest, 'id'> & { readonly id?: string };

/** A message that has come in. */
export type IncomingMessage = Omit<IncomingRequest, 'id'> & { readonly id?: string };

/** A packet of Nest's; what others than Nest have sent is all data, for the channel that it came by. */
export function messageOf(value: unknown, channel: unknown): IncomingMessage {
  const { pattern, data } = (value ?? {}) as Partial<IncomingMessage>;
  return pattern === undefined && data === undefined ? { pattern: channel, data: value } : (value as IncomingMessage);
}

/** The same of what a message is answered with. */
export function replyOf(value: unknown): IncomingResponse {
  const members = isObject(value) ? Object.keys(value as object) : [];
  if (members.length > 0 && members.every((name) => REPLY.has(name))) return value as IncomingResponse;
  return { id: (value as Partial<IncomingResponse> | null)?.id as string, response: value, isDisposed: true };
}

const REPLY: ReadonlySet<string> = new Set(['id', 'err', 'response', 'isDisposed', 'status']);
