import { companionOf, isByReference } from '../bullmq/host.ts';
import { inPlaceOf } from '../decorated-method.ts';
import { ByReferenceError } from '../errors.ts';

type Method = (this: object, ...args: unknown[]) => unknown;

/** Of a worker, or of a queue's events. */
interface Listening {
  listen(host: object, args: readonly unknown[], listener: (...args: unknown[]) => unknown): Promise<unknown>;
}

/**
 * Has a handler of a worker's event get the current rows, as `process` does: in the job's data, and in the result or
 * progress beside it, in an EntityManager and request context of the event's own; one of a `@QueueEventsListener`, in the
 * `returnvalue` of `completed` and the `data` of `progress`.
 *
 * ```ts
 * @OnWorkerEvent('completed')
 * @Revive()
 * async onCompleted(job: Job<{ user: User | null }>) {
 * ```
 *
 * Null stands for a row that is gone by then. A job that can't be read comes too: its `data` throws the reason. What the
 * handler fails with is the event `error` of the worker, or of the queue's events.
 */
export function Revive(): MethodDecorator {
  return (_target, name, descriptor: PropertyDescriptor) => {
    descriptor.value = revived(descriptor.value as Method, name);
  };
}

function revived(method: Method, name: string | symbol): Method {
  return inPlaceOf(method, async function (this: object, ...args: unknown[]): Promise<unknown> {
    const { worker, queueEvents } = this as { readonly worker?: object; readonly queueEvents?: object };
    const host = worker ?? queueEvents;
    if (host === undefined || !isByReference(host)) {
      throw ByReferenceError.unsupported(
        `@Revive() on ${String(name)}`,
        'what has its events is not by reference: import ByReferenceModule, beside BullModule',
      );
    }
    const listener = (...current: unknown[]): unknown => method.apply(this, current);
    return companionOf<Listening>(host).listen(host, args, listener);
  });
}
