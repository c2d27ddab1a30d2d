/** `fork('lock-worker.ts', [kind, databaseUrl])`: a process that takes locks as `lockContract` tells it. */
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks } from 'mikro-orm-byref/locks';
import { contractEntities, lockWorker } from 'mikro-orm-byref/testing';
import { makeOrm } from '../../fixtures/majors.ts';
import { lockStores } from './lock-stores.ts';

const [kind, clientUrl] = process.argv.slice(2) as [string, string];
const Orm = clientUrl.startsWith('mysql:') ? ((await import('@mikro-orm/mysql')).MikroORM as never) : undefined;
const orm = makeOrm({ entities: contractEntities, clientUrl }, Orm);
await orm.connect();
lockWorker(new Locks(new EntitySerializer(orm), (await lockStores[kind]!(orm)).provider()));
