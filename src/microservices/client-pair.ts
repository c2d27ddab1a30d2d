import type { IncomingResponse } from '@nestjs/microservices';
import { logError } from '../orm/logger.ts';
import { describe } from '../tasks/outcome.ts';
import { Callers } from './callers.ts';
import type { MessageCodec } from './message-codec.ts';
import { type OutgoingMessage, replyOf } from './packets.ts';

/** How a client writes its messages, and reads what answers them. */
export class ClientPair {
  readonly #codec: MessageCodec;
  readonly #callers: Callers;
  /** The replies to a message that are being read, so that the end of a stream does not come before what it ends. */
  readonly #reading = new Map<string, Promise<unknown>>();

  constructor(codec: MessageCodec) {
    this.#codec = codec;
    this.#callers = new Callers(codec.serializer.orms);
  }

  /** Throws as `serialize`: to whoever subscribes to what `send` and `emit` return. */
  write(packet: OutgoingMessage): OutgoingMessage {
    if (packet.id !== undefined) this.#callers.call(packet.id);
    try {
      return { ...packet, data: this.#codec.writeMessage(packet.data, packet.pattern) };
    } catch (error) {
      // Few subscribe to an event, and Nest keeps its error to itself.
      if (packet.id === undefined) this.#tell(packet, error);
      throw error;
    }
  }

  /** Rejects never: nobody would catch it. What can't be read is an error of the message's own. */
  read(value: unknown): IncomingResponse | Promise<IncomingResponse> {
    const packet = replyOf(value);
    const before = this.#reading.get(packet.id);
    if (before === undefined && !this.#isWritten(packet)) return this.#over(packet);
    const reading = Promise.resolve(before).then(() => this.#revived(packet));
    this.#reading.set(packet.id, reading);
    return reading.finally(() => {
      if (this.#reading.get(packet.id) === reading) this.#reading.delete(packet.id);
    });
  }

  async #revived(packet: IncomingResponse): Promise<IncomingResponse> {
    if (!this.#isWritten(packet)) return this.#over(packet);
    const { id, response, ...others } = packet;
    try {
      const read = (): Promise<unknown> => this.#codec.readReply(response, id);
      return this.#over({ ...others, id, response: await this.#callers.reply(id, read) });
    } catch (err) {
      return this.#over({ id, err, isDisposed: true });
    }
  }

  #isWritten({ response }: IncomingResponse): boolean {
    return response !== undefined && this.#codec.isWritten(response);
  }

  #over(packet: IncomingResponse): IncomingResponse {
    if (packet.isDisposed || packet.err) this.#callers.end(packet.id);
    return packet;
  }

  #tell({ pattern }: OutgoingMessage, error: unknown): void {
    const { name, message } = describe(error);
    logError(this.#codec.serializer.orm, `An event ${JSON.stringify(pattern)} was not sent: ${name}: ${message}`);
  }
}
