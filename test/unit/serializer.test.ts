import { describe, expect, test } from '@jest/globals';
import { ref } from '@mikro-orm/core';
import { EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const orm = offlineOrm(domain);
const serializer = new EntitySerializer(orm, { signingKeys: ['a secret of thirty-two bytes, ok'] });
const em = orm.em.fork();
const [user, other] = [em.getReference(User, 1), em.getReference(User, 2)];

describe('clone', () => {
  test('copies deeply, and entities, references and collections stay the same objects', () => {
    const wrapped = ref(user);
    const post = em.create(Post, { id: 1, title: 't', body: 'b', author: user });
    const value = {
      user,
      list: [user, { other }],
      map: new Map([[user, new Date(0)]]),
      wrapped,
      comments: post.comments,
      post,
    };
    const copy = serializer.clone(value);
    expect(copy).toStrictEqual(value);
    expect(copy.list).not.toBe(value.list);
    expect(copy.map).not.toBe(value.map);
    expect(copy.map.get(user)).not.toBe(value.map.get(user));
    expect([copy.user, copy.list[0], copy.wrapped, copy.comments, copy.post]).toEqual([
      user,
      user,
      wrapped,
      post.comments,
      post,
    ]);
    expect(
      copy.user === user && copy.wrapped === wrapped && copy.comments === post.comments && copy.post === post,
    ).toBe(true);
    expect(serializer.clone(user)).toBe(user);
  });

  test('refuses what it could not copy', async () => {
    expect((await failureOf(() => serializer.clone({ a: new (class X {})() }))).code).toBe('E_UNSERIALIZABLE');
  });
});

describe('dedupeKey', () => {
  test('is equal for equal values, whatever the order of keys', () => {
    const key = serializer.dedupeKey({ b: [1, { d: user, c: 2n }], a: 'x' });
    expect(key).toBe('{"a":"x","b":[1,{"c":{"$bigint":"2"},"d":{"$entity":["User",1]}}]}');
    expect(serializer.dedupeKey({ a: 'x', b: [1, { c: 2n, d: ref(user) }] })).toBe(key);
  });

  test('takes a token for its row', () => {
    expect(serializer.dedupeKey(new EntityToken('User', 1, { version: 3 }))).toBe(serializer.dedupeKey(user));
    expect(serializer.dedupeKey(new EntityToken('Gone', 1))).toBe('{"$entity":["Gone",1]}');
  });

  test('is equal for equal values whatever their keys look like, and by content for Sets and Maps', () => {
    const equal: readonly [unknown, unknown][] = [
      [JSON.parse('{"__proto__":1,"b":2}'), JSON.parse('{"b":2,"__proto__":1}')],
      [
        { 'a\0': 1, '\ud800': { 'c\0': 1, d: 2 } },
        { '\ud800': { d: 2, 'c\0': 1 }, 'a\0': 1 },
      ],
      [
        { 10: 1, 9: 2, a: 3 },
        { a: 3, 9: 2, 10: 1 },
      ],
      [
        { $set: [1, 2], $a: 1 },
        { $a: 1, $set: [1, 2] },
      ],
      [new Set([1, user, 'a']), new Set(['a', 1, ref(user)])],
      [new Set([new Set([1, 2]), new Set([3])]), new Set([new Set([3]), new Set([2, 1])])],
      [
        new Map<unknown, unknown>([
          [user, 1],
          [{ b: 1, a: new Set([1, 2]) }, 2],
        ]),
        new Map<unknown, unknown>([
          [{ a: new Set([2, 1]), b: 1 }, 2],
          [new EntityToken('User', 1), 1],
        ]),
      ],
      [0, -0],
      [{ a: [-0] }, { a: [0] }],
      [Buffer.of(1), Uint8Array.of(1)],
    ];
    for (const [one, same] of equal) expect(serializer.dedupeKey(one)).toBe(serializer.dedupeKey(same));
  });

  test('keeps the order of lists, and data that looks like a Set', () => {
    expect(serializer.dedupeKey([1, 2])).not.toBe(serializer.dedupeKey([2, 1]));
    expect(serializer.dedupeKey({ $set: [1, 2] })).not.toBe(serializer.dedupeKey({ $set: [2, 1] }));
    expect(serializer.dedupeKey({ $number: '-0' })).not.toBe(serializer.dedupeKey(0));
    expect(serializer.dedupeKey(new Map([[1, 2]]))).not.toBe(serializer.dedupeKey(new Map([[2, 1]])));
    const payload = serializer.serialize(new Set(['b', 'a']), { sign: { purpose: 'x', expiresAt: null } });
    expect(payload).toContain('["b","a"]');
  });

  test('tells different values apart', () => {
    const values = [
      user,
      other,
      1,
      '1',
      1n,
      [1],
      { 0: 1 },
      null,
      undefined,
      { a: undefined },
      {},
      { $entity: ['User', 1] },
      new Set([1]),
    ];
    expect(new Set(values.map((value) => serializer.dedupeKey(value))).size).toBe(values.length);
  });
});

describe('token', () => {
  test('of an entity and of a Ref', () => {
    expect(serializer.token(user).toJSON()).toEqual({ $token: ['User', 1] });
    expect(serializer.token(ref(user)).equals(serializer.token(user))).toBe(true);
  });

  test('of anything else is refused', async () => {
    for (const value of [{}, new Date(), new EntityToken('User', 1)]) {
      expect((await failureOf(() => serializer.token(value))).code).toBe('E_UNSERIALIZABLE');
    }
  });
});

describe('inspect', () => {
  test('lists tokens with their paths, and tags', () => {
    const payload = serializer.serialize({
      user,
      list: [new Date(0), { $x: new Map([['k', other]]) }],
      tag: em.getReference(Tag, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
    });
    const report = serializer.inspect(payload);
    expect(report).toMatchObject({ version: 1, signed: false, problems: [], tags: { $entity: 3, $date: 1, $map: 1 } });
    expect(report.tokens.map(({ path, token }) => [path, token.model, token.primaryKey])).toEqual([
      ['$.user', 'User', 1],
      ["$.list[1]['$$x']['$map'][0][1]", 'User', 2],
      ['$.tag', 'Tag', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ]);
    expect(serializer.inspect(JSON.parse(payload))).toEqual(report);
  });

  test.each<[string, unknown, string, string]>([
    ['a newer format', { $byref: 2, data: { $new: 1 } }, 'E_UNSUPPORTED_VERSION', '$'],
    ['no data', { $byref: 1 }, 'E_MALFORMED', '$'],
    ['an unknown tag', { $byref: 1, data: [{ $new: 1 }] }, 'E_MALFORMED', "$[0]['$new']"],
    ['a tag beside a key', { $byref: 1, data: { $date: '', a: 1 } }, 'E_MALFORMED', '$'],
    ['a date that is none', { $byref: 1, data: { at: { $date: 'soon' } } }, 'E_MALFORMED', "$.at['$date']"],
  ])('reports %s', (_name, payload, code, path) => {
    expect(serializer.inspect(payload).problems).toMatchObject([{ code, path }]);
  });

  test('leaves names of models and value objects to those who know them', () => {
    const data = [{ $value: ['Money', 1] }, { $snapshot: ['Nobody', {}] }, { $entity: ['Nobody', 1] }];
    expect(serializer.inspect({ $byref: 1, data }).problems).toEqual([]);
  });

  test('tells a long key once, and not with each token below it', () => {
    const list = Array.from({ length: 20_000 }, (_, index) => ({ $entity: ['User', index] }));
    const { tokens, problems } = serializer.inspect({
      $byref: 1,
      data: { [' '.repeat(500_000)]: [...list, { $bad: 1 }] },
    });
    expect(tokens.length).toBe(20_000);
    for (const { path } of tokens) expect(path.length).toBeLessThan(1_000);
    expect(tokens[7]!.path).toMatch(/^\$\[' +… +'\]\[7\]$/);
    expect(problems).toMatchObject([{ code: 'E_MALFORMED' }]);
  });

  test('never throws', () => {
    const deep = JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`) as unknown;
    const payloads = [
      '{',
      '',
      'null',
      null,
      undefined,
      1,
      [],
      {},
      { $byref: 'x' },
      { $byref: 9, data: { $new: 1 }, signature: 's' },
      { $byref: 1, data: { $entity: 1 } },
      { $byref: 1, data: { $entity: ['Nobody', 1] } },
      { $byref: 1, data: deep },
    ];
    const reports = payloads.map((payload) => serializer.inspect(payload));
    expect(reports[0]!.problems[0]).toMatchObject({ code: 'E_MALFORMED', path: '$' });
    expect(reports[9]).toMatchObject({ version: 9, signed: true, tags: { $new: 1 } });
    expect(reports[10]!.problems).toMatchObject([{ code: 'E_MALFORMED', path: '$' }]);
    expect(reports[11]!.tokens[0]!.token.model).toBe('Nobody');
    expect(reports[12]!.problems).toMatchObject([{ code: 'E_LIMIT' }]);
  });
});

test('text beyond the limit is refused where it is made', async () => {
  const small = new EntitySerializer(orm, { limits: { length: 30 } });
  expect(small.serialize('x')).toHaveLength(23);
  expect((await failureOf(() => small.serialize('x'.repeat(20)))).code).toBe('E_LIMIT');
});
