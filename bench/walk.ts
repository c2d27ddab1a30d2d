/**
 * `node bench/walk.ts`: the calls that `serialize({ user })` and `deserialize` of it make in the built package, by file,
 * counted by V8 once both have run before. Of this release: 45 in 17 files, 153 in 39. Of 0.1.0, counted the same way: 45
 * in 15, 167 in 20; what was its one file for MikroORM is six of these.
 */
import { Session } from 'node:inspector/promises';
import { defineEntity, MikroORM } from '@mikro-orm/sqlite';
import { EntitySerializer } from 'mikro-orm-byref';

const dist = new URL('../dist/', import.meta.url).href;

const User = defineEntity({
  name: 'User',
  properties: (p) => ({ id: p.integer().primary(), email: p.string() }),
});
const orm = new MikroORM({ entities: [User], dbName: ':memory:' });
await orm.schema.create();
const serializer = new EntitySerializer(orm);
const em = orm.em.fork();
const user = em.create(User, { id: 1, email: 'ann@example.org' });
await em.flush();

const session = new Session();
session.connect();
await session.post('Profiler.enable');

/** Runs it once, and returns how often each function of the package was called. */
async function callsOf(run: () => unknown): Promise<Map<string, number>> {
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  await run();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  await session.post('Profiler.stopPreciseCoverage');
  const calls = new Map<string, number>();
  for (const { url, functions } of result.filter(({ url }) => url.startsWith(dist))) {
    const count = functions.reduce((sum, { ranges }) => sum + ranges[0]!.count, 0);
    if (count > 0) calls.set(url.slice(dist.length), count);
  }
  return calls;
}

const text = serializer.serialize({ user });
await serializer.deserialize(text, { em: orm.em.fork() });
for (const [name, run] of [
  ['serialize({ user })', () => serializer.serialize({ user })],
  ['deserialize of it', () => serializer.deserialize(text, { em: orm.em.fork() })],
] as const) {
  const calls = await callsOf(run);
  const total = [...calls.values()].reduce((sum, count) => sum + count, 0);
  console.log(`${name}: ${total} calls in ${calls.size} files`);
  for (const [file, count] of [...calls].sort(([, a], [, b]) => b - a))
    console.log(`${String(count).padStart(5)}  ${file}`);
}
await orm.close();
