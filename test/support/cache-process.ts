/** `node cache-process.ts <database url> <prefix>`: serves one cached value per line that it reads, until its input ends. */
import { createInterface } from 'node:readline';
import { EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { Comment, domain, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';
import { overRedis } from './bento.ts';

const [clientUrl, prefix] = process.argv.slice(2) as [string, string];
const orm = makeOrm({ entities: domain, clientUrl });
const bento = overRedis(prefix);
const cache = new EntityCache(new EntitySerializer(orm), bento);
let made = 0;

for await (const command of createInterface(process.stdin)) {
  const em = orm.em.fork();
  if (command === 'get') {
    const page = await cache.getOrSet({
      key: 'page',
      ttlMs: 3_600_000,
      graceMs: 3_600_000,
      dependsOn: [Comment],
      em,
      factory: async (own) => {
        made++;
        const user = await own.findOneOrFail(User, 1);
        return { user, name: user.name, comments: await own.count(Comment) };
      },
    });
    console.log(JSON.stringify({ name: page.name, fresh: page.user.name, comments: page.comments, made }));
  } else {
    em.create(Comment, { id: BigInt(command), text: 'Hi', post: 1 as never, author: 1 as never });
    await em.flush();
    console.log(JSON.stringify({ posted: command }));
  }
}
await bento.disconnectAll();
await orm.close();
