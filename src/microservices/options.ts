import { type Check, check } from '../check.ts';
import type { DeserializeOptions } from '../options.ts';
import { ADAPTER_CHECKS, type AdapterOptions } from '../tasks/adapter-options.ts';

/** How messages are written and read, on either side. */
export interface MessageOptions extends Pick<AdapterOptions, 'only' | 'missing' | 'populate'> {
  /**
   * Signs messages and replies, and takes no others: a message for its pattern, a reply for its message.
   * @defaultValue as the serializer’s
   */
  readonly signed?: DeserializeOptions['signed'];
  /**
   * What happens to a message without an envelope, of a client that knows nothing of this: it reaches the handler
   * unchanged (`pass`), or is E_MALFORMED (`refuse`). With `signed` it is E_BAD_SIGNATURE.
   * @defaultValue `'pass'`; with `signed` `'refuse'`
   */
  readonly plain?: 'pass' | 'refuse';
  /**
   * What travels with a message beside its data, tenant, locale, parameters of filters: captured where it is sent, and
   * given to `run`, which is called around the handler and before the message's rows are read.
   * @defaultValue none
   */
  readonly context?: AdapterOptions['context'];
}

const { only, missing, populate, signed, plain, context } = ADAPTER_CHECKS;

const MESSAGE_CHECKS: Record<keyof MessageOptions, Check> = { only, missing, populate, signed, plain, context };

export const checkMessageOptions = (options: MessageOptions): void => check(options, MESSAGE_CHECKS, 'option ');
