import { describe, expect, test } from '@jest/globals';
import { EntitySerializer, type EntitySerializerOptions, type JsonObject } from 'mikro-orm-byref';
import { Signer } from '../../src/wire/signing.ts';
import { EntityToken } from '../../src/wire/token.ts';
import { domain, User } from '../../fixtures/domain.ts';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const secret = 'a secret of thirty-two bytes, ok';
const other = new Uint8Array(32).fill(7);
const orm = offlineOrm(domain);
const em = orm.em.fork();
const user = em.getReference(User, 123);

let now = Date.UTC(2026, 10, 21);
const serializerWith = (options: EntitySerializerOptions): EntitySerializer =>
  new EntitySerializer(orm, { clock: () => now, freshness: 'lazy', ...options });
const serializer = serializerWith({ signingKeys: [secret] });
const link = { purpose: 'reset', expiresInMs: 60_000 } as const;

const codeOf = async (run: () => unknown): Promise<string> => (await failureOf(run)).code;

describe('a signed token', () => {
  test('is short, URL-safe and pinned', () => {
    const text = serializer.sign(user, link);
    expect(text).toBe('v1.mwpn72ao.WyJVc2VyIiwxMjNd.GW_EHTfe8lJFQskjWfUFFgJnjZlP2MZG6qevslhkPQ8');
    expect(text.length).toBeLessThanOrEqual(80);
    expect(encodeURIComponent(text)).toBe(text);
  });

  test('comes back as its row, for its purpose only', async () => {
    const text = serializer.sign(user, link);
    expect(await serializer.verify(text, { purpose: 'reset', em, only: [User] })).toBe(user);
    expect(await codeOf(() => serializer.verify(text, { purpose: 'unsubscribe', em }))).toBe('E_BAD_SIGNATURE');
    expect(await codeOf(() => serializer.verify(text, { purpose: 'reset', em, only: [] }))).toBe('E_MODEL_NOT_ALLOWED');
  });

  test('expires at its instant, to the millisecond', async () => {
    const text = serializer.sign(user, { purpose: 'reset', expiresInMs: 1 });
    expect(await serializer.verify(text, { purpose: 'reset', em })).toBe(user);
    now += 1;
    const error = await failureOf(() => serializer.verify(text, { purpose: 'reset', em }));
    expect([error.code, error.retryable]).toEqual(['E_EXPIRED', false]);
    expect(await codeOf(() => serializer.verify(text, { purpose: 'other', em }))).toBe('E_BAD_SIGNATURE');
    now -= 1;
  });

  test('may expire at a date, or never', async () => {
    const at = serializer.sign(user, { purpose: 'reset', expiresAt: new Date(now + 5) });
    const never = serializer.sign(user, { purpose: 'reset', expiresAt: null });
    now += 5;
    expect(await codeOf(() => serializer.verify(at, { purpose: 'reset', em }))).toBe('E_EXPIRED');
    now += 1e12;
    expect(await serializer.verify(never, { purpose: 'reset', em })).toBe(user);
    now -= 1e12 + 5;
  });

  test('is refused when any character of it changes', async () => {
    const text = serializer.sign(user, link);
    for (let index = 0; index < text.length; index++) {
      for (const character of ['A', 'B', '.', '0', '=', '\0', 'é']) {
        const tampered = text.slice(0, index) + character + text.slice(index + 1);
        if (tampered === text) continue;
        expect([tampered, await codeOf(() => serializer.verify(tampered, { purpose: 'reset', em }))]).toEqual([
          tampered,
          'E_BAD_SIGNATURE',
        ]);
      }
    }
  });

  test.each<[string, unknown]>([
    ['nothing', ''],
    ['an unsigned token', new EntityToken('User', 123).toString()],
    ['no text', 1],
    ['null', null],
    ['a cut token', serializer.sign(user, link).slice(0, -1)],
    ['a longer token', `${serializer.sign(user, link)}A`],
    ['a token with a line break', `${serializer.sign(user, link)}\n`],
    ['another version', serializer.sign(user, link).replace('v1', 'v2')],
    ['its own payload', JSON.stringify(serializer.encode(user, { sign: link }))],
    [
      'the signature of a payload',
      `v1..WyJVc2VyIiwxMjNd.${String(serializer.encode(user, { sign: link })['signature'])}`,
    ],
    ['a megabyte', 'v1.'.padEnd(1_000_000, 'A')],
  ])('%s is none', async (_name, text) => {
    expect(await codeOf(() => serializer.verify(text as string, { purpose: 'reset', em }))).toBe('E_BAD_SIGNATURE');
  });
});

describe('keys', () => {
  test('the first signs, all verify', async () => {
    const rotated = serializerWith({ signingKeys: [other, secret] });
    expect(await rotated.verify(serializer.sign(user, link), { purpose: 'reset', em })).toBe(user);
    expect(await codeOf(() => serializer.verify(rotated.sign(user, link), { purpose: 'reset', em }))).toBe(
      'E_BAD_SIGNATURE',
    );
  });

  test('none: nothing can be signed, demanded or believed', async () => {
    const without = serializerWith({});
    expect(await codeOf(() => without.sign(user, link))).toBe('E_INVALID_OPTION');
    expect(await codeOf(() => without.encode(user, { sign: link }))).toBe('E_INVALID_OPTION');
    expect(await codeOf(() => without.verify(serializer.sign(user, link), { purpose: 'reset', em }))).toBe(
      'E_INVALID_OPTION',
    );
    const signed = serializer.encode({ user }, { sign: link });
    expect(await codeOf(() => without.decode(signed, { em }))).toBe('E_BAD_SIGNATURE');
    expect(await codeOf(() => without.decode(signed, { em, signed: { purpose: 'reset' } }))).toBe('E_INVALID_OPTION');
  });

  test('many purposes cost no memory', () => {
    const signer = new Signer([secret]);
    const token = new EntityToken('User', 1);
    const first = signer.signToken(token, { purpose: 'p0', expiresAt: null });
    for (let index = 1; index < 3_000; index++) signer.signToken(token, { purpose: `p${index}`, expiresAt: null });
    expect(signer.verifyToken(first, 'p0').equals(token)).toBe(true);
  });

  test.each<[string, EntitySerializerOptions]>([
    ['a short secret', { signingKeys: ['short'] }],
    ['short bytes', { signingKeys: [new Uint8Array(31)] }],
    ['no list', { signingKeys: secret as never }],
    ['a number', { signingKeys: [1 as never] }],
    ['no clock', { clock: 1 as never }],
    ['a demand without purpose', { signed: {} as never }],
    ['a demand that is true', { signed: true as never }],
    ['a demand without a key', { signed: { purpose: 'jobs' } }],
    ['a demand with more in it', { signingKeys: [secret], signed: { purpose: 'jobs', queues: ['a'] } as never }],
  ])('%s is E_INVALID_OPTION', async (_name, options) => {
    const error = await failureOf(() => new EntitySerializer(orm, options));
    expect(error.code).toBe('E_INVALID_OPTION');
    expect(error.message).not.toContain(secret);
  });
});

describe('options of sign', () => {
  test.each<[string, unknown]>([
    ['no expiry', { purpose: 'reset' }],
    ['two expiries', { purpose: 'reset', expiresInMs: 1, expiresAt: null }],
    ['no purpose', { expiresAt: null }],
    ['an empty purpose', { purpose: '', expiresAt: null }],
    ['a long purpose', { purpose: 'x'.repeat(257), expiresAt: null }],
    ['no time', { purpose: 'reset', expiresInMs: 0 }],
    ['negative time', { purpose: 'reset', expiresInMs: -1 }],
    ['part of a millisecond', { purpose: 'reset', expiresInMs: 0.5 }],
    ['endless time', { purpose: 'reset', expiresInMs: Number.MAX_SAFE_INTEGER }],
    ['an invalid date', { purpose: 'reset', expiresAt: new Date(Number.NaN) }],
    ['a number as date', { purpose: 'reset', expiresAt: 1 }],
    ['a misspelt expiry', { purpose: 'reset', expiresAt: null, expiresInMS: 5 }],
    ['nothing', undefined],
  ])('%s is E_INVALID_OPTION', async (_name, options) => {
    expect(await codeOf(() => serializer.sign(user, options as never))).toBe('E_INVALID_OPTION');
    if (options !== undefined) {
      expect(await codeOf(() => serializer.serialize(user, { sign: options as never }))).toBe('E_INVALID_OPTION');
    }
  });
});

describe('a signed payload', () => {
  const data = { user, at: new Date(0), b: [1, { z: 1, a: 2 }] };
  const signed = serializer.encode(data, { sign: link }) as JsonObject;
  const demanded = { em, signed: { purpose: 'reset' } };

  test('carries purpose, expiry and signature beside its data', () => {
    expect(signed).toMatchObject({ $byref: 1, purpose: 'reset', expiresAt: '2026-11-21T00:01:00.000Z' });
    expect(signed['signature']).toMatch(/^[\w-]{43}$/);
    expect(serializer.inspect(signed)).toMatchObject({
      signed: true,
      purpose: 'reset',
      expiresAt: new Date('2026-11-21T00:01:00.000Z'),
      problems: [],
    });
    expect(serializer.encode(data, { sign: { purpose: 'reset', expiresAt: null } })).not.toHaveProperty('expiresAt');
  });

  test('comes back, demanded or not, whatever jsonb did to the order of its keys', async () => {
    const reordered = (json: unknown): unknown => {
      if (typeof json !== 'object' || json === null) return json;
      if (Array.isArray(json)) return json.map(reordered);
      return Object.fromEntries(
        Object.entries(json)
          .toReversed()
          .map(([key, value]) => [key, reordered(value)]),
      );
    };
    expect(await serializer.decode(reordered(signed) as never, demanded)).toEqual(data);
    expect(await serializer.deserialize(serializer.serialize(data, { sign: link }), { em })).toEqual(data);
  });

  test('expires', async () => {
    now += 60_000;
    expect(await codeOf(() => serializer.decode(signed, demanded))).toBe('E_EXPIRED');
    expect(await codeOf(() => serializer.decode(signed, { em }))).toBe('E_EXPIRED');
    now -= 60_000;
  });

  const { signature, ...unsigned } = signed;
  const hostile: [string, JsonObject][] = [
    ['without its signature', unsigned],
    ['with null for its signature', { ...signed, signature: null }],
    ['with an empty signature', { ...signed, signature: '' }],
    ['with another signature', { ...signed, signature: 'A'.repeat(43) }],
    ['with a padded signature', { ...signed, signature: `${String(signature)}=` }],
    ['with other data', { ...signed, data: { user: { $entity: ['User', 124] } } }],
    ['with a later expiry', { ...signed, expiresAt: '2036-11-21T00:01:00.000Z' }],
    ['without its expiry', Object.fromEntries(Object.entries(signed).filter(([key]) => key !== 'expiresAt'))],
    ['with another purpose', { ...signed, purpose: 'unsubscribe' }],
    ['without its purpose', Object.fromEntries(Object.entries(signed).filter(([key]) => key !== 'purpose'))],
    ['with metadata added', { ...signed, task: 'pay' }],
    [
      'with a __proto__ beside its data',
      JSON.parse(JSON.stringify(signed).replace('{', '{"__proto__":{"a":1},')) as never,
    ],
    ['signed for another purpose', serializer.encode(data, { sign: { purpose: 'other', expiresAt: null } })],
    ['signed with another key', serializerWith({ signingKeys: [other] }).encode(data, { sign: link })],
  ];

  test.each(hostile)('%s is refused where one is demanded', async (_name, payload) => {
    const error = await failureOf(() => serializer.decode(payload, demanded));
    expect([error.code, error.retryable]).toEqual(['E_BAD_SIGNATURE', false]);
  });

  test('is verified where none is demanded, for the purpose that it names', async () => {
    for (const [name, payload] of hostile) {
      if (name === 'without its signature' || name === 'signed for another purpose') continue;
      expect([name, await codeOf(() => serializer.decode(payload, { em }))]).toEqual([name, 'E_BAD_SIGNATURE']);
    }
  });

  test('the demand may be the serializer’s, and a call may lift it', async () => {
    const strict = serializerWith({ signingKeys: [secret], signed: { purpose: 'reset' } });
    expect(await codeOf(() => strict.decode(serializer.encode(1)))).toBe('E_BAD_SIGNATURE');
    expect(await codeOf(() => strict.decode(7 as never))).toBe('E_BAD_SIGNATURE');
    expect(await strict.decode(serializer.encode(1), { signed: false })).toBe(1);
    expect(await strict.decode(signed, { em })).toEqual(data);
    expect(await codeOf(() => strict.decode(signed, { em, signed: { purpose: 'other' } }))).toBe('E_BAD_SIGNATURE');
  });

  test('a serializer that demands one reads what it writes, and writes unsigned where it is told to', async () => {
    const strict = serializerWith({ signingKeys: [secret], signed: { purpose: 'reset' } });
    expect(await strict.decode(strict.encode(data), { em })).toEqual(data);
    expect(await strict.deserialize(strict.serialize(data), { em })).toEqual(data);
    expect(await serializer.decode(strict.encode(data), { em, signed: { purpose: 'reset' } })).toEqual(data);
    expect(strict.encode(1, { sign: false })).toEqual({ $byref: 1, data: 1 });
    const other = strict.encode(1, { sign: { purpose: 'other', expiresAt: null } });
    expect(await codeOf(() => strict.decode(other))).toBe('E_BAD_SIGNATURE');
    expect(await strict.decode(other, { signed: { purpose: 'other' } })).toBe(1);
  });

  test.each<[string, unknown]>([
    ['what no tag says', { $byref: 1, data: { $regexp: [{ $entity: ['Nobody', null] }] } }],
    ['a newer version', { $byref: 999 }],
    ['a version that is none', { $byref: 'x', data: 1 }],
    ['no data', { $byref: 1 }],
    ['plain JSON', { a: 1 }],
    ['text', 'x'],
    ['nothing', null],
  ])('%s, unsigned, is E_BAD_SIGNATURE where a signature is demanded', async (_name, forged) => {
    const error = await failureOf(() => serializer.decode(forged as never, demanded));
    expect([error.code, error.retryable]).toEqual(['E_BAD_SIGNATURE', false]);
  });

  test('a newer version that was made with a good key is for a newer release to read', async () => {
    const newer = new Signer([secret], () => now).signEnvelope({ $byref: 2, data: { $new: 1 } }, link);
    for (const options of [demanded, { em }]) {
      const error = await failureOf(() => serializer.decode(newer, options));
      expect([error.code, error.retryable]).toEqual(['E_UNSUPPORTED_VERSION', true]);
    }
    const forged = { ...newer, $byref: 3 };
    expect(await codeOf(() => serializer.decode(forged, { em }))).toBe('E_BAD_SIGNATURE');
  });

  test('depth is limited before the signature is computed', async () => {
    let nested: unknown = 1;
    for (let level = 0; level < 100_000; level++) nested = [nested];
    const deep = { ...signed, data: nested } as JsonObject;
    expect(await codeOf(() => serializer.decode(deep, demanded))).toBe('E_LIMIT');
    const limits = { depth: 3 };
    expect(await serializer.decode(signed, { ...demanded, limits })).toEqual(data);
    expect(await codeOf(() => serializer.decode(signed, { ...demanded, limits: { depth: 2 } }))).toBe('E_LIMIT');
  });

  test('what is readable unsigned is readable signed', async () => {
    let nested: unknown = 1;
    for (let level = 0; level < 60; level++) nested = new Map([[level, new Set([nested])]]);
    expect(await serializer.decode(serializer.encode(nested, { sign: link }), demanded)).toEqual(nested);
  });

  test('-0 in JSON is 0: the signature can’t tell them apart', async () => {
    const text = serializer.serialize({ n: 0, list: [0] }, { sign: link });
    const tampered = text.replace('"n":0', '"n":-0').replace('[0]', '[-0]');
    const back = await serializer.deserialize<{ n: number; list: number[] }>(tampered, demanded);
    expect([Object.is(back.n, 0), Object.is(back.list[0], 0)]).toEqual([true, true]);
  });

  test('what is no JSON is refused, not stumbled over', async () => {
    for (const value of [1n, undefined, () => 1, Symbol('x')]) {
      const payload = { ...signed, data: [value] } as never;
      expect(await codeOf(() => serializer.decode(payload, demanded))).toBe('E_MALFORMED');
    }
  });

  test('a clock that says nothing makes no signature last', async () => {
    const broken = serializerWith({ signingKeys: [secret], clock: () => undefined as never });
    expect(await codeOf(() => broken.decode(signed, demanded))).toBe('E_EXPIRED');
    expect(await codeOf(() => broken.verify(serializer.sign(user, link), undefined as never))).toBe('E_INVALID_OPTION');
  });

  test('who verifies is told which options there are none of', async () => {
    const text = serializer.sign(user, link);
    for (const option of [{ missing: 'null' }, { missing: 'throw' }, { signed: false }, { limits: {} }, { as: User }]) {
      const verified = () => serializer.verify(text, { purpose: 'reset', em, ...option } as never);
      expect(await codeOf(verified)).toBe('E_INVALID_OPTION');
    }
  });

  test('plain JSON can’t be asked for a signature', async () => {
    const options = { em, only: [User], signed: { purpose: 'reset' } } as never;
    expect(await codeOf(() => serializer.revive({}, options))).toBe('E_INVALID_OPTION');
    expect(await codeOf(() => serializer.token(user, { sign: link } as never))).toBe('E_INVALID_OPTION');
  });
});
