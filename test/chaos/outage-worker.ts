/** `node outage-worker.ts <engine> <addresses as JSON>`: works through every outage; writes the jobs that failed for good. */
import { type Addresses, connect, type EngineName } from './outage-system.ts';

// Outlives no parent, whose output it shares.
process.on('disconnect', () => process.exit());
const [, , engine, addresses] = process.argv as [string, string, EngineName, string];
const { tasks } = await connect(engine, JSON.parse(addresses) as Addresses, ({ task, id, final, tokens, error }) => {
  if (!final) return;
  const order = tokens[0]?.primaryKey;
  process.stdout.write(`${JSON.stringify({ task, id, order, error: String(error) })}\n`);
});
await tasks.work();
process.send!('working');
