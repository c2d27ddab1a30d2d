import type { OutgoingResponse } from '@nestjs/microservices';
import { logError } from '../orm/logger.ts';
import { describe } from '../tasks/outcome.ts';
import type { MessageCodec } from './message-codec.ts';
import { Message, told } from './message.ts';
import { type IncomingMessage, messageOf } from './packets.ts';

/** How a server reads its messages, and writes what answers them. */
export class ServerPair {
  readonly #codec: MessageCodec;

  constructor(codec: MessageCodec) {
    this.#codec = codec;
  }

  /** Nest has no answer to what goes wrong here, so that all reading is left to the interceptor. */
  read(value: unknown, channel: unknown): IncomingMessage {
    const packet = messageOf(value, channel);
    const patterns = channel === undefined ? [packet.pattern] : [packet.pattern, channel];
    const message = new Message(this.#codec, packet.data, patterns, packet.id === undefined);
    return { ...packet, data: message.unread };
  }

  /** What can't be written is told here, and is an error to the client, which would wait. */
  write(packet: OutgoingResponse): OutgoingResponse {
    const { response, ...others } = packet;
    if (response === undefined) return packet;
    try {
      return { ...packet, response: this.#codec.writeReply(response, packet.id) };
    } catch (error) {
      const { name, message } = describe(error);
      logError(this.#codec.serializer.orm, `A reply to a message was not sent: ${name}: ${message}`);
      return { ...others, err: told(error) ?? INTERNAL, isDisposed: true };
    }
  }
}

/** As Nest says it. */
const INTERNAL = { status: 'error', message: 'Internal server error' };
