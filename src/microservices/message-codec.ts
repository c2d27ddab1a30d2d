import { isDeepStrictEqual } from 'node:util';
import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { valueOf } from '../reviving/outcomes.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { JsonValue } from '../wire/json.ts';
import { checkMessageOptions, type MessageOptions } from './options.ts';

/** What messages and their replies hold, written and read. */
export class MessageCodec extends AdapterCodec {
  constructor(serializer: EntitySerializer, options: MessageOptions) {
    checkMessageOptions(options);
    super(serializer, options as ConstructorParameters<typeof AdapterCodec>[1]);
  }

  /** The data of a message, always in an envelope, for a pattern. */
  writeMessage(data: unknown, pattern: unknown): unknown {
    const envelope = { ...this.encode(data), ...this.context.capture() };
    return this.seal.close(envelope, 'message', { pattern: textOf(pattern) });
  }

  /**
   * The data of a message as it is sealed, if it is for all of these patterns.
   * @throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT.
   */
  openMessage(data: unknown, patterns: readonly unknown[]): unknown {
    return this.seal.open(data, 'message', (message) => patterns.every((own) => message['pattern'] === textOf(own)));
  }

  /**
   * What an opened message holds.
   * @throws as `decode`.
   */
  async readMessage(opened: unknown, em: EntityManager): Promise<unknown> {
    return valueOf((await this.read([opened], (data) => data, em))[0]!);
  }

  /** What plain JSON says stays plain JSON, for who knows nothing of this, unless replies are signed. */
  writeReply(value: unknown, id: unknown): unknown {
    const envelope = this.encode(value);
    const isPlain = !this.seal.isOn && !isEnvelope(value) && isDeepStrictEqual(envelope['data'], value);
    return isPlain ? value : this.seal.close(envelope, 'reply', { message: textOf(id) });
  }

  /** Whether a reply has to be read: a plain one is what it is. */
  isWritten(reply: unknown): boolean {
    return this.seal.isOn || isEnvelope(reply);
  }

  /**
   * What a reply to a message holds, in the EntityManager of the request or transaction around the call.
   * @throws as `decode`.
   */
  async readReply(reply: unknown, id: unknown): Promise<unknown> {
    const opened = this.seal.open(reply, 'reply', ({ message }) => message === textOf(id));
    return valueOf((await this.read([opened], (data) => data))[0]!);
  }
}

/** A pattern as Nest compares it: text, or an object by its content. Of a transport that brings none, and no id, nothing. */
function textOf(value: unknown): string {
  if (value === undefined) return '';
  try {
    return typeof value === 'string' ? value : canonicalJson(value as JsonValue);
  } catch (cause) {
    throw ByReferenceError.malformed('this pattern is no JSON', { path: '$', cause });
  }
}
