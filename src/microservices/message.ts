import { RpcException } from '@nestjs/microservices';
import { Observable, type Unsubscribable } from 'rxjs';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInNewRequest } from '../orm/context.ts';
import { valueOf } from '../reviving/outcomes.ts';
import type { MessageCodec } from './message-codec.ts';

/** Calls a handler, by what an interceptor is given to do so, with the data that it is to get. */
export type CallHandler = (data: unknown) => Observable<unknown>;

/** A message that has come, as it is sent: it is read for each handler that it has. */
export class Message {
  readonly #codec: MessageCodec;
  readonly #data: unknown;
  /** Its own, and that of the channel that it came by where the transport has one. */
  readonly #patterns: readonly unknown[];
  /** Nobody hears what becomes of it. */
  readonly #isEvent: boolean;

  constructor(codec: MessageCodec, data: unknown, patterns: readonly unknown[], isEvent: boolean) {
    this.#codec = codec;
    this.#data = data;
    this.#patterns = patterns;
    this.#isEvent = isEvent;
  }

  /** What stands for the data until it is read: whoever asks it for something hears why that can't be had. */
  get unread(): object {
    const refuse = (): never => {
      throw ByReferenceError.unsupported(
        'A message that has not been read',
        'put @UseInterceptors(ByReferenceInterceptor) on its controller, and read it in its handler or a pipe: guards and other interceptors may come before',
      );
    };
    return new Proxy({ [MESSAGE]: this } as object, {
      // Promises ask everything for `then`, and Nest has symbols of its own.
      get: (target, name) =>
        typeof name === 'symbol' ? Reflect.get(target, name) : name === 'then' ? undefined : refuse(),
      has: (target, name) => (typeof name === 'symbol' ? Reflect.has(target, name) : refuse()),
      ownKeys: refuse,
    });
  }

  /**
   * Calls a handler with the current rows, in an EntityManager and request context of its own, and in the context that
   * the message was sent in. What of it can't be read is an RpcException for whoever has sent it; of an event it stays
   * what it is, which Nest writes to its log.
   */
  handle(call: CallHandler): Observable<unknown> {
    return new Observable((subscriber) => {
      let handling: Unsubscribable | undefined;
      let end = (): void => undefined;
      // Nobody waits any more: as without this, a handler that has not been called yet is called all the same.
      subscriber.add(() => {
        handling?.unsubscribe();
        end();
      });
      // The values that are still to be told: one that `run` may fail is not, before it has ended.
      const held: unknown[] = [];
      const tell = (): void => held.splice(0).forEach((value) => subscriber.next(value));
      const next = (value: unknown): void => {
        tell();
        held.push(value);
        if (!this.#codec.context.isOn) tell();
      };
      const work = (data: unknown): Promise<void> =>
        new Promise((resolve, reject) => {
          end = resolve;
          handling = call(data).subscribe({ next, error: reject, complete: resolve });
        });
      const handle = async (): Promise<void> => {
        try {
          await this.#read(work);
          tell();
          subscriber.complete();
        } catch (error) {
          subscriber.error(error);
        }
      };
      void handle();
    });
  }

  /** Runs `work` on the data, in its contexts. */
  #read(work: (data: unknown) => Promise<void>): Promise<void> {
    const { context, serializer } = this.#codec;
    return runInNewRequest(globalManagers(serializer), async (em) => {
      const opened = await this.#reading(async () => this.#codec.openMessage(this.#data, this.#patterns));
      const captured = await this.#reading(async () => valueOf(await context.read(opened, em)));
      return context.run(captured, em, async () => {
        return work(await this.#reading(() => this.#codec.readMessage(opened, em)));
      });
    });
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw this.#isEvent ? error : refused(error);
    }
  }
}

/** The message behind a handler's data; undefined where it is read, or did not come by reference. */
export const messageIn = (data: unknown): Message | undefined =>
  typeof data === 'object' && data !== null ? (data as { readonly [MESSAGE]?: Message })[MESSAGE] : undefined;

/** What a client is told of an error that it can do something about; any other is Nest's to tell. */
export function told(error: unknown): object | undefined {
  if (!(error instanceof ByReferenceError)) return undefined;
  const { code, message, retryable } = error;
  return { status: 'error', code, message, retryable };
}

function refused(error: unknown): unknown {
  const own = told(error);
  return own === undefined ? error : Object.assign(new RpcException(own), { cause: error });
}

const MESSAGE = Symbol.for('mikro-orm-byref.message');
