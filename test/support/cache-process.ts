/**
 * `node cache-process.ts <database url> <prefix> [<ms that its clock is ahead>]`: serves one cached value per line that
 * it reads, until its input ends.
 */
import { createInterface } from 'node:readline';
import { EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { Comment, domain, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';
import { overRedis } from './bento.ts';

const [clientUrl, prefix, aheadMs = '0'] = process.argv.slice(2) as [string, string, string?];
const { now } = Date;
Date.now = () => now() + Number(aheadMs);
const orm = makeOrm({ entities: domain, clientUrl });
const bento = overRedis(prefix);
const cache = new EntityCache(new EntitySerializer(orm), bento);
let made = 0;

/** When it is about to tell the others that what it has opened is committed. */
function dieAfterCommit(): void {
  const { set } = bento;
  bento.set = (options: { key: string; value?: unknown }) => {
    const isEnd = options.key.startsWith('byref:tag:') && !String(options.value).startsWith('open:');
    if (isEnd) process.kill(process.pid, 'SIGKILL');
    return set.call(bento, options as never);
  };
}

const get = async () => {
  const page = await cache.getOrSet({
    key: 'page',
    ttlMs: 3_600_000,
    graceMs: 3_600_000,
    dependsOn: [Comment],
    em: orm.em.fork(),
    factory: async (own) => {
      made++;
      const user = await own.findOneOrFail(User, 1);
      return { user, name: user.name, comments: await own.count(Comment) };
    },
  });
  return { name: page.name, fresh: page.user.name, comments: page.comments, made };
};

for await (const command of createInterface(process.stdin)) {
  const em = orm.em.fork();
  const [verb, name] = command.split(' ') as [string, string?];
  if (name !== undefined) {
    if (verb === 'die') dieAfterCommit();
    (await em.findOneOrFail(User, 1)).name = name;
    await em.flush();
    console.log(JSON.stringify(await get()));
  } else if (command === 'get') {
    console.log(JSON.stringify(await get()));
  } else {
    em.create(Comment, { id: BigInt(command), text: 'Hi', post: 1 as never, author: 1 as never });
    await em.flush();
    console.log(JSON.stringify({ posted: command }));
  }
}
await bento.disconnectAll();
await orm.close();
