/**
 * A site whose home page is kept for an hour, and yet shows a comment to the next visitor after it was posted; /stats
 * draws hits against misses. `npm run build && node examples/cached-site.ts` says where it is; PORT chooses the port.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { defineEntity, MikroORM, p, RequestContext } from '@mikro-orm/postgresql';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { startPostgres } from '../fixtures/postgres.ts';
import { homePage, messagePage, type Sample, statsPage } from './cached-site-html.ts';

const CommentSchema = defineEntity({
  name: 'Comment',
  properties: { id: p.integer().primary().autoincrement(), author: p.string(), text: p.text(), at: p.datetime() },
});
class Comment extends CommentSchema.class {}
CommentSchema.setClass(Comment);

const postgres = await startPostgres();
const clientUrl = Object.assign(new URL(postgres.url), {
  pathname: `/byref_site_${randomBytes(4).toString('hex')}`,
}).href;
const orm = new MikroORM({ entities: [Comment], clientUrl });
await orm.schema.ensureDatabase();
await orm.schema.create();

// One process and its memory; with Redis as second level and bus, any number of them.
const bento = new BentoCache({ default: 'pages', stores: { pages: bentostore().useL1Layer(memoryDriver({})) } });
const cache = new EntityCache(new EntitySerializer(orm), bento, { singleProcess: true });

/** Kept for an hour, and then shown for ten minutes more while it is made again. */
const latestComments = () =>
  cache.getOrSet({
    key: 'home',
    ttlMs: 3_600_000,
    graceMs: 600_000,
    dependsOn: [Comment],
    factory: async (em) => ({
      comments: await em.find(Comment, {}, { orderBy: { id: 'desc' }, limit: 10 }),
      total: await em.count(Comment),
      madeAt: new Date(),
    }),
  });

async function post(request: IncomingMessage): Promise<boolean> {
  const form = new URLSearchParams(await bodyOf(request));
  // Browsers send line breaks as two characters, and count one.
  const [author, text] = ['author', 'text'].map((name) => form.get(name)?.trim().replaceAll('\r\n', '\n') ?? '') as [
    string,
    string,
  ];
  if (author === '' || author.length > 80 || text === '' || text.length > 2_000 || /\0/.test(author + text))
    return false;
  const em = orm.em.fork();
  em.create(Comment, { author, text, at: new Date() });
  await em.flush();
  return true;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk as string;
    if (body.length > 20_000) return '';
  }
  return body;
}

function send(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, {
    // What is left of a body that was refused must not be taken for the next request.
    ...(status === 400 && { connection: 'close' }),
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    'cache-control': 'no-store',
  });
  response.end(html);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [pathname] = (request.url ?? '/').split('?');
  switch (`${request.method} ${pathname}`) {
    case 'GET /':
      return send(response, 200, homePage(await latestComments()));
    case 'POST /comments':
      // A form of another site.
      if ((request.headers['sec-fetch-site'] ?? 'same-origin') !== 'same-origin')
        return send(response, 403, messagePage('Comments are written on this site'));
      if (!(await post(request))) return send(response, 400, messagePage('A comment needs a name and a text'));
      response.writeHead(303, { location: '/' }).end();
      return;
    case 'GET /stats':
      return send(response, 200, statsPage(cache.stats, [...samples.slice(1), sinceLastSample()]));
    default:
      return send(response, 404, messagePage('There is no such page'));
  }
}

/** The last minute, second by second. */
let samples: Sample[] = Array.from({ length: 60 }, () => ({ hits: 0, stale: 0, misses: 0 }));
let sampled: Sample = cache.stats;
function sinceLastSample(): Sample {
  const { hits, stale, misses } = cache.stats;
  return { hits: hits - sampled.hits, stale: stale - sampled.stale, misses: misses - sampled.misses };
}
setInterval(() => {
  samples = [...samples.slice(1), sinceLastSample()];
  sampled = cache.stats;
}, 1_000).unref();

const server = createServer((request, response) => {
  // Each request has its EntityManager, whose identity map receives the comments of the page.
  RequestContext.create(orm.em, () => answer(request, response)).catch((error: unknown) => {
    console.error(error);
    if (response.headersSent) response.destroy();
    else send(response, 500, messagePage('Something went wrong'));
  });
});
server.listen(Number(process.env['PORT'] ?? 3_000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});

async function stop(): Promise<void> {
  server.close();
  server.closeAllConnections();
  await orm.schema.dropDatabase();
  await orm.close();
  await postgres.stop();
  process.exit(0);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());
