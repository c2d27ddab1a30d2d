import type { Worker } from 'bullmq';
import { companionOf, isByReference } from '../bullmq/host.ts';
import type { JobProcessing } from '../bullmq/processing.ts';
import { inPlaceOf } from '../decorated-method.ts';
import { ByReferenceError } from '../errors.ts';

type Method = (this: object, ...args: unknown[]) => unknown;

/**
 * Has a handler of a worker's event get the current rows, as `process` does: in the job's data, and in the result or
 * progress beside it, in an EntityManager and request context of the event's own.
 *
 * ```ts
 * @OnWorkerEvent('completed')
 * @Revive()
 * async onCompleted(job: Job<{ user: User | null }>) {
 * ```
 *
 * Null stands for a row that is gone by then. A job that can't be read comes too: its `data` throws the reason. What the
 * handler fails with is the worker's event `error`.
 */
export function Revive(): MethodDecorator {
  return (_target, name, descriptor: PropertyDescriptor) => {
    descriptor.value = revived(descriptor.value as Method, name);
  };
}

function revived(method: Method, name: string | symbol): Method {
  return inPlaceOf(method, async function (this: object, ...args: unknown[]): Promise<unknown> {
    const { worker } = this as { readonly worker?: Worker };
    if (worker === undefined || !isByReference(worker)) {
      throw ByReferenceError.unsupported(
        `@Revive() on ${String(name)}`,
        'its worker is not by reference: import ByReferenceModule, beside BullModule',
      );
    }
    const listener = (...current: unknown[]): unknown => method.apply(this, current);
    return companionOf<JobProcessing>(worker).listen(worker, args, listener);
  });
}
