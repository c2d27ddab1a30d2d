import type { EntitySerializer } from '../entity-serializer.ts';
import { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { AdapterOptions } from '../tasks/adapter-options.ts';
import type { Method, Methods } from './methods.ts';
import { Outputs } from './outputs.ts';
import { Producer } from './producer.ts';
import { Receiver } from './receiver.ts';
import { Subscriptions } from './subscriptions.ts';

/**
 * pg-boss's own API, its data by reference: entities in what is sent travel as tokens, and a worker's jobs hold the
 * current rows, one query per model for a batch, in an EntityManager and request context of its own. Everything else is
 * the given instance. A missing row dead-letters the job without a retry; data without an envelope is passed on as it
 * is, so that queues can be migrated while they run.
 *
 * `fetch` reads into the EntityManager of the request or transaction around it, and throws E_INVALID_OPTION where there
 * is none; a job that can't be read is failed with the reason and left out. `complete` and `fail` keep what they are
 * given by reference, as work() keeps results: `serializer.decode(job.output)`; what finds jobs gives them as they are
 * stored.
 * @throws E_INVALID_OPTION.
 */
export function byReference<Boss extends object>(
  serializer: EntitySerializer,
  boss: Boss,
  options: AdapterOptions = {},
): Boss {
  const methods = methodsOf(boss as never, new AdapterCodec(serializer, options));
  const proxy: Boss = new Proxy(boss, {
    get(target, name) {
      if (Object.hasOwn(methods, name)) return methods[name as string];
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function' || name === 'constructor') return value;
      // start() and on() return the instance they are called on.
      const same = (result: unknown): unknown => (result === target ? proxy : result);
      return (...args: unknown[]): unknown => {
        const result = (value as Method).apply(target, args);
        return result instanceof Promise ? result.then(same) : same(result);
      };
    },
  });
  return proxy;
}

/** pg-boss's methods that carry data. */
function methodsOf(boss: Methods, codec: AdapterCodec): Methods {
  const subscriptions = new Subscriptions(boss);
  const outputs = new Outputs(boss, codec);
  const receiver = new Receiver(boss, codec, outputs, subscriptions);
  return { ...new Producer(boss, codec).methods, ...subscriptions.methods, ...outputs.methods, ...receiver.methods };
}
