import { type StoreKind, storeKinds } from './bullmq.ts';
import { describeWith } from './test-with.ts';

/** A group of tests on each of BullMQ's stores. */
export function describeStores(subject: string, register: (kind: StoreKind) => void): void {
  for (const kind of storeKinds()) describeWith(...kind.needs)(`${subject} on ${kind.name}`, () => register(kind));
}
