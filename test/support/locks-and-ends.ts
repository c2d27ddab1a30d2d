/** `node locks-and-ends.ts <url>`: takes a lock and ends by itself, although nobody has closed the locks. */
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { domain } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';

const orm = makeOrm({ entities: domain, clientUrl: process.argv[2]! });
const locks = new Locks(new EntitySerializer(orm), postgresLocks(orm));
await locks.run('key', () => console.log('locked'));
await orm.close();
