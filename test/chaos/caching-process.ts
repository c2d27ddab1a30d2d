/**
 * `node caching-process.ts <database url> <own row> <ms that its clock is ahead> <seconds>`: commits to its own row and reads
 * all rows through the cache; writes what it has seen of its own commits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { makeOrm } from '../../fixtures/majors.ts';
import { overRedis } from '../support/bento.ts';
import { counters, Counter } from './counters.ts';

const [clientUrl, row, aheadMs, seconds] = process.argv.slice(2) as [string, string, string, string];
const { now } = Date;
Date.now = () => now() + Number(aheadMs);
const orm = makeOrm({ entities: counters, clientUrl });
const bento = overRedis('chaos');
const cache = new EntityCache(new EntitySerializer(orm), bento);
const own = Number(row);

const seen = { commits: 0, reads: 0, made: 0, stale: 0, backward: 0 };
let committed = 0;
let last = 0;
const end = now() + Number(seconds) * 1_000;
while (now() < end) {
  if (Math.random() < 0.3) {
    const em = orm.em.fork();
    const counter = await em.findOneOrFail(Counter, own);
    counter.count++;
    await em.flush();
    committed = counter.count;
    seen.commits++;
  }
  const counts = await cache.getOrSet({
    key: 'counts',
    ttlMs: 3_600_000,
    dependsOn: [Counter],
    em: orm.em.fork(),
    factory: async (em) => {
      seen.made++;
      return (await em.find(Counter, {}, { orderBy: { id: 'asc' } })).map(({ count }) => count);
    },
  });
  const count = counts[own - 1]!;
  seen.reads++;
  if (count < committed) seen.stale++;
  if (count < last) seen.backward++;
  last = count;
  await sleep(Math.random() * 10);
}
console.log(JSON.stringify(seen));
await bento.disconnectAll();
await orm.close();
