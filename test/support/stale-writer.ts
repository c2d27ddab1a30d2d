/**
 * `fork('stale-writer.ts', [url])`: takes the lock of document 1 and says its token; told to write, it writes under it,
 * first with the guard and then without, whatever became of the lock, and says how many rows each has changed.
 */
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { makeOrm } from '../../fixtures/majors.ts';
import { Doc, fenced, write } from './fenced-doc.ts';

const orm = makeOrm({ entities: fenced, clientUrl: process.argv[2]! });
const em = orm.em.fork();
const locks = new Locks(new EntitySerializer(orm), postgresLocks(orm, { tokenSequence: 'lock_tokens' }));
const work = locks.run(em.getReference(Doc, 1), async (_, { token }) => {
  process.send!(String(token));
  await new Promise((resolve) => process.once('message', resolve));
  const guarded = await write(em, 'stale', token!);
  const unguarded = await em.fork().nativeUpdate(Doc, { id: 2 }, { body: 'stale' });
  process.send!({ guarded, unguarded });
});
await work.catch((error: { code?: string }) => process.send!(error.code));
process.disconnect();
process.exit();
