/** examples/nest as `npm run shop` starts it, by HTTP: with defineEntity, and with decorators. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../support/jobs.ts';
import { type Shop, startShop } from '../support/shop.ts';
import { describeWith } from '../support/test-with.ts';

/** What Bull Board shows of a queue. */
interface Shown {
  readonly counts: Readonly<Record<string, number>>;
  readonly jobs: readonly { readonly data: unknown }[];
}

const ENTITIES = { defineEntity: [], decorators: ['--decorated'] } as const;

describeWith('redis-server')('the shop', () => {
  describe.each(Object.entries(ENTITIES))('with %s', (_, args) => {
    let shop: Shop;
    beforeAll(async () => {
      const servers = { DATABASE_URL: process.env['TEST_DATABASE_URL']!, REDIS_URL: process.env['TEST_REDIS_URL']! };
      shop = await startShop(servers, args);
    });
    afterAll(() => shop.stop());

    const request = (path: string, init?: RequestInit): Promise<Response> => fetch(new URL(path, shop.url), init);
    const get = async (path: string): Promise<string> => (await request(path)).text();
    const post = (path: string, fields: Record<string, string>): Promise<Response> =>
      request(path, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' });
    const order = (fields: Record<string, string>): Promise<Response> =>
      post('/orders', { product: '1', quantity: '2', name: 'Ann', email: 'ann@old.example', ...fields });
    /** The cells of a page's table, row by row. */
    const rows = async (path: string): Promise<string[][]> =>
      Array.from((await get(path)).matchAll(/<tr>(.*?)<\/tr>/gs), ([, row]) =>
        Array.from(row!.matchAll(/<td>(.*?)<\/td>/gs), ([, cell]) => cell!.replaceAll(/<.*?>/g, '').trim()),
      ).filter((cells) => cells.length > 0);
    const stats = async (): Promise<number[]> => (await rows('/cache')).map(([count]) => Number(count));
    const mails = async (): Promise<string[]> => (await rows('/mails')).map(([to, subject]) => `${to}: ${subject}`);

    const board = async (status: string): Promise<Shown> => {
      const answer = await request(`/board/api/queues?activeQueue=shop&status=${status}`);
      return ((await answer.json()) as { queues: [Shown] }).queues[0];
    };
    const jobs = async (): Promise<number> =>
      Object.values((await board('latest')).counts).reduce((sum, count) => sum + count);

    test('keeps its window until a product changes', async () => {
      expect(await rows('/')).toEqual([
        ['Tea', '€ 4.90', '100'],
        ['Teapot', '€ 39.00', '5'],
        ['Coffee', '€ 7.90', '50'],
      ]);
      await get('/');
      expect(await stats()).toEqual([1, 1]);
      expect((await post('/products/3', { name: 'Espresso <dark>' })).status).toBe(303);
      expect((await rows('/'))[2]).toEqual(['Espresso &#60;dark&#62;', '€ 7.90', '50']);
      expect(await stats()).toEqual([1, 2]);
    });

    test('finds products under their names of now', async () => {
      const found = async (word: string): Promise<(string | undefined)[]> =>
        (await rows(`/?q=${word}`)).map(([name]) => name);
      expect(await found('TEA')).toEqual(['Tea', 'Teapot']);
      await post('/products/2', { name: 'Kettle' });
      await until(async () => (await found('kettle')).length === 1);
      expect(await found('tea')).toEqual(['Tea']);
    });

    test('packs an order, and mails to the address of then', async () => {
      const held = shop.holdOrder(1);
      const placed = await order({});
      const letGo = await held;
      const link = placed.headers.get('location')!;
      expect([placed.status, link]).toEqual([303, expect.stringMatching(/^\/orders\/v1\./)]);
      expect((await rows('/'))[0]).toEqual(['Tea', '€ 4.90', '98']);
      expect(await get(link)).toMatch(/2 × Tea for Ann.*Packing: (?:waiting|active)/s);
      await until(async () => (await mails())[0] === 'ann@old.example: We have your order: 2 × Tea');

      const moved = await post(link, { email: 'ann@new.example' });
      expect([moved.status, moved.headers.get('location')]).toEqual([303, link]);
      await letGo();
      expect(await get(`${link}/parcel`)).toBe('P-1');
      expect(await get(link)).toContain('Packed: P-1');
      await until(async () => (await mails())[0] === 'ann@new.example: Parcel P-1 is on its way');
    });

    test('an order that is refused takes its job, its event and all it wrote with it', async () => {
      await get('/');
      const told = async () => ({ jobs: await jobs(), mails: await mails(), misses: (await stats())[1] });
      const before = await told();
      const refused = await order({ product: '2', quantity: '6' });
      expect([refused.status, await refused.json()]).toEqual([
        400,
        { message: 'There is less of Kettle', error: 'Bad Request', statusCode: 400 },
      ]);
      for (const fields of [{ quantity: '0' }, { quantity: 'x' }, { name: ' ' }, { email: '' }]) {
        expect((await order(fields as Record<string, string>)).status).toBe(400);
      }
      expect((await order({ product: '99' })).status).toBe(404);
      await sleep(200); // for what would come after a commit
      expect((await rows('/')).map(([, , left]) => left)).toEqual(['98', '5', '50']);
      expect(await told()).toEqual(before);
    });

    test('a signed link is all that it takes to get no more mails', async () => {
      const [, link] = /href="(\/unsubscribe\/[^"]+)"/.exec(await get('/mails'))!;
      expect(await get(link!)).toContain('No more mails to ann@new.example?');
      expect(await (await post(link!, {})).text()).toContain('ann@new.example gets no more mails.');
      const before = await mails();
      const { headers } = await order({ email: 'ann@new.example' });
      expect(await get(`${headers.get('location')}/parcel`)).toBe('P-3');
      expect(await mails()).toEqual(before);

      for (const forged of [`${link!.slice(0, -2)}AA`, link!.replace('unsubscribe', 'orders')]) {
        expect((await request(forged)).status).toBe(403);
      }
    });

    test('Bull Board shows jobs with tokens', async () => {
      await until(async () => {
        const { counts, jobs: finished } = await board('completed');
        expect(counts['failed']).toBe(0);
        return finished.some(({ data }) => JSON.stringify(data).includes('"data":{"order":{"$entity":["Order",3]}}'));
      });
    });
  });
});
