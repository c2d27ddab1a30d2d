/** `node outbox-relay.ts <addresses as JSON>`: hands messages on to its parent until it is killed. */
import type { PublishedMessage } from 'mikro-orm-byref/outbox';
import { type Addresses, connect } from './outbox-system.ts';

// Outlives no parent.
process.on('disconnect', () => process.exit());
/** Resolves when the parent has it, or will. */
const send = (messages: readonly PublishedMessage[]): Promise<void> =>
  new Promise((resolve, reject) => {
    process.send!(
      messages.map(({ id }) => id),
      (error: Error | null) => (error === null ? resolve() : reject(error)),
    );
  });

await connect(JSON.parse(process.argv[2]!) as Addresses, send).outbox.relay({ leaseMs: 3_000, pollMs: 200 });
