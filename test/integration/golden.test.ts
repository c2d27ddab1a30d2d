import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { byValue, EntitySerializer, type Encoded } from 'mikro-orm-byref';
import { domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { keySamples } from '../../fixtures/keys.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { Line, Money, Offer } from '../../fixtures/value-objects.ts';
import { valueSamples } from '../../fixtures/values.ts';
import { openDatabase } from '../support/database.ts';

interface Golden {
  readonly name: string;
  readonly payload: Encoded<unknown>;
}

/** Payloads that a release has written stay readable for good; what writes them now writes the same. */
const golden = <T = readonly Golden[]>(file: string): T =>
  JSON.parse(readFileSync(new URL(`../../fixtures/payloads/v1/${file}.json`, import.meta.url), 'utf8')) as T;

const secret = 'a secret of thirty-two bytes, ok';
const now = Date.UTC(2026, 10, 21);
const tagId = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm, { values: [Money, Offer], signingKeys: [secret], clock: () => now });
  const em = database.orm.em.fork();
  const updatedAt = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org', nickname: null, updatedAt });
  const post = em.create(Post, { id: 7, title: 'Hello', body: 'World', author: ann });
  post.tags.add(em.create(Tag, { id: tagId, label: 'news' }));
  await em.flush();
});
afterAll(() => database.close());

const rows = async (): Promise<{ ann: User; post: Post }> => {
  const em = database.orm.em.fork();
  const post = await em.findOneOrFail(Post, 7, { populate: ['tags', 'author'] });
  return { ann: post.author.unwrap(), post };
};

test('keys', () => {
  const payloads = keySamples.map(({ model, wire }) => ({ $byref: 1, data: { $entity: [model.name, wire] } }));
  expect(payloads).toEqual(golden('keys'));
});

test('values', async () => {
  const samples = valueSamples.map(({ name, value }) => ({ name, payload: serializer.encode(value) }));
  expect(samples).toEqual(golden('values'));
  for (const [index, { payload }] of golden('values').entries()) {
    expect(await serializer.decode(payload)).toStrictEqual(valueSamples[index]!.value);
  }
});

test('value objects', async () => {
  const { ann } = await rows();
  const price = Money.of('10.50');
  const offer = Object.assign(new Offer(), {
    price,
    customer: ann,
    until: new Date(now),
    limit: 2n ** 60n,
    discounts: new Map([['early', Money.of('0.50', 'EUR')]]),
    lines: [Line.of('work', price)],
  });
  const expected = golden('value-objects');
  expect([
    { name: 'with a transform', payload: serializer.encode(price) },
    { name: 'with all that may be in one', payload: serializer.encode({ offer }) },
    { name: 'in containers', payload: serializer.encode([new Map([[price, new Set([price])]])]) },
  ]).toEqual(expected);

  const em = database.orm.em.fork();
  expect(String(await serializer.decode(expected[0]!.payload))).toBe('10.50 CZK');
  const back = (await serializer.decode(expected[1]!.payload, { em })) as { offer: Offer };
  expect(back.offer.describe()).toBe('Ann pays 10.50 CZK until 2026');
  expect(back.offer.lines[0]).toBeInstanceOf(Line);
  const [map] = (await serializer.decode(expected[2]!.payload)) as [Map<Money, Set<Money>>];
  expect([...map].map(([key, items]) => [String(key), ...[...items].map(String)])).toEqual([
    ['10.50 CZK', '10.50 CZK'],
  ]);
});

test('snapshots', async () => {
  const { ann, post } = await rows();
  const expected = golden('snapshots');
  expect([
    { name: 'of an entity', payload: serializer.encode(byValue(ann)) },
    { name: 'with relations, beside a reference', payload: serializer.encode({ copy: byValue(post), now: post }) },
  ]).toEqual(expected);

  const em = database.orm.em.fork();
  const user = (await serializer.decode(expected[0]!.payload)) as User;
  expect([user instanceof User, user.email, user.version, user.secret]).toEqual([
    true,
    'ann@example.org',
    1,
    undefined,
  ]);
  const back = (await serializer.decode(expected[1]!.payload, { em })) as { copy: Post; now: Post };
  expect(back.copy).not.toBe(back.now);
  expect(back.copy.author.unwrap()).toBe(back.now.author.unwrap());
  expect(back.copy.tags.getItems().map(({ label }) => label)).toEqual(['news']);
});

describe('signatures', () => {
  interface Signed {
    readonly secret: string;
    readonly tokens: readonly { readonly purpose: string; readonly text: string }[];
    readonly payloads: readonly Golden[];
  }

  test('are the same, and verify', async () => {
    const { ann } = await rows();
    const expected = golden<Signed>('signed');
    const data = { user: ann, b: [1.5, 'ž', { z: null, a: true }], at: new Date(0) };
    expect({
      secret,
      tokens: [
        { purpose: 'reset', text: serializer.sign(ann, { purpose: 'reset', expiresInMs: 3_600_000 }) },
        { purpose: 'háček', text: serializer.sign(ann, { purpose: 'háček', expiresAt: null }) },
      ],
      payloads: [
        { name: 'for good', payload: serializer.encode(data, { sign: { purpose: 'jobs', expiresAt: null } }) },
        {
          name: 'for an hour',
          payload: serializer.encode(data, { sign: { purpose: 'jobs', expiresInMs: 3_600_000 } }),
        },
      ],
    }).toEqual(expected);

    for (const { purpose, text } of expected.tokens) {
      expect(await serializer.verify(text, { purpose, em: database.orm.em.fork() })).toMatchObject({ name: 'Ann' });
    }
    for (const { payload } of expected.payloads) {
      const options = { em: database.orm.em.fork(), signed: { purpose: 'jobs' } };
      expect(await serializer.decode(payload, options)).toMatchObject({ user: { name: 'Ann' } });
    }
  });
});
