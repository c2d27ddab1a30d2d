import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySerializer, type ErrorCode, type JsonObject } from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { hostileEnvelopes, hostileShapes, hostileTokens, nestings } from '../../fixtures/hostile.ts';
import { keys } from '../../fixtures/keys.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { Money, Offer } from '../../fixtures/value-objects.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;
const names = [Object.prototype, Array.prototype, Function.prototype].map((prototype) => Reflect.ownKeys(prototype));

beforeAll(async () => {
  database = await openDatabase([...domain, ...keys]);
  serializer = new EntitySerializer(database.orm, {
    values: [Money, Offer],
    signingKeys: ['a secret of thirty-two bytes, ok'],
  });
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

const decode = (payload: unknown, options = {}): Promise<unknown> =>
  serializer.decode(payload as JsonObject, { em: database.orm.em.fork(), ...options });

async function expectRefused(run: () => unknown, code: ErrorCode, retryable = false): Promise<void> {
  const error = await failureOf(run);
  expect([error.code, error.retryable]).toEqual([code, retryable]);
  expect(error.message.length).toBeLessThan(3_000);
  expect(database.statements).toEqual([]);
  const now = [Object.prototype, Array.prototype, Function.prototype].map((prototype) => Reflect.ownKeys(prototype));
  expect(now).toEqual(names);
}

describe('data', () => {
  for (const { name, data, code, needs } of [...hostileShapes, ...hostileTokens]) {
    testWith(...(needs ? [needs] : []))(`${name} is ${code}`, () =>
      expectRefused(() => decode({ $byref: 1, data: [{ $entity: ['IntKey', 1] }, data] }), code),
    );
  }

  for (const { name, data, code, needs } of hostileTokens) {
    testWith(...(needs ? [needs] : []))(`${name} inside a value object and a copy is ${code}`, async () => {
      await expectRefused(() => decode({ $byref: 1, data: { $value: ['Money', { amount: '1', x: data }] } }), code);
      await expectRefused(() => decode({ $byref: 1, data: { $snapshot: ['User', { id: data }] } }), code);
    });
  }

  test.each(Object.entries(nestings))('names that mean something to JavaScript are data %s', async (_where, nest) => {
    const object = {
      constructor: { name: 'x' },
      toJSON: 1,
      prototype: [],
      hasOwnProperty: null,
      toString: 2,
    };
    const back = await decode({ $byref: 1, data: nest(object) });
    expect(serializer.encode(back)['data']).toEqual(nest(object));
  });
});

describe('models outside `only`', () => {
  test.each<[string, unknown]>([
    ['a token', { $entity: ['User', 1] }],
    ['a token far down', { a: [{ $map: [['b', { $entity: ['User', 1] }]] }] }],
    ['a token in a value object', { $value: ['Money', { amount: '1', x: { $entity: ['User', 1] } }] }],
    ['a token in a copy', { $snapshot: ['Post', { author: { $entity: ['User', 1] } }] }],
    ['a copy', { $snapshot: ['User', { id: 1 }] }],
  ])('%s', (_name, data) =>
    expectRefused(
      () => decode({ $byref: 1, data: [{ $entity: ['Post', 1] }, data] }, { only: [Post] }),
      'E_MODEL_NOT_ALLOWED',
    ),
  );
});

describe('envelopes', () => {
  test.each([...hostileEnvelopes, ['no text', 1 as never, 'E_MALFORMED'] as const])('%s', (_name, text, code) =>
    expectRefused(
      () => serializer.deserialize(text, { em: database.orm.em.fork() }),
      code,
      code === 'E_UNSUPPORTED_VERSION',
    ),
  );

  test.each<[string, unknown]>([
    ['__proto__ beside the data', JSON.parse('{"$byref":1,"data":1,"__proto__":{"signature":"x"}}')],
    ['unknown metadata', { $byref: 1, data: 1, task: { name: 'x' }, priority: 3 }],
  ])('%s is passed over', async (_name, payload) => {
    expect(await decode(payload)).toBe(1);
  });

  test('text over the limit is not even parsed', () =>
    expectRefused(() => serializer.deserialize(`"${'x'.repeat(100)}`, { limits: { length: 100 } }), 'E_LIMIT'));

  test('a string of 10 MB is data', async () => {
    const text = 'x'.repeat(10_000_000);
    expect(await serializer.deserialize(serializer.serialize({ text }))).toEqual({ text });
  });
});

describe('signed payloads', () => {
  const demanded = { signed: { purpose: 'jobs' } };
  const signed = (): Record<string, unknown> => ({
    ...serializer.encode(
      { user: database.orm.em.fork().getReference(User, 1) },
      { sign: { purpose: 'jobs', expiresInMs: 60_000 } },
    ),
  });

  const without =
    (key: string) =>
    (payload: Record<string, unknown>): unknown =>
      Object.fromEntries(Object.entries(payload).filter(([name]) => name !== key));

  test.each<[string, (payload: Record<string, unknown>) => unknown]>([
    ['downgraded: the signature taken off', without('signature')],
    ['downgraded: signature null', (payload) => ({ ...payload, signature: null })],
    ['another row', (payload) => ({ ...payload, data: { user: { $entity: ['User', 2] } } })],
    ['another model', (payload) => ({ ...payload, data: { user: { $entity: ['Post', 1] } } })],
    ['a later expiry', (payload) => ({ ...payload, expiresAt: '2999-01-01T00:00:00.000Z' })],
    ['no expiry', without('expiresAt')],
    ['another purpose', (payload) => ({ ...payload, purpose: 'other' })],
    ['an unknown model, never resolved', (payload) => ({ ...payload, data: { $entity: ['Nobody', 1] } })],
    ['a malformed tag, never read', (payload) => ({ ...payload, data: { $regexp: 1 } })],
  ])('%s is E_BAD_SIGNATURE', (_name, tamper) =>
    expectRefused(() => decode(tamper(signed()), demanded), 'E_BAD_SIGNATURE'),
  );

  test('any tampered byte of the text is refused, or leaves the same payload', async () => {
    const text = JSON.stringify(signed());
    const original = JSON.stringify(JSON.parse(text));
    for (let index = 0; index < text.length; index++) {
      const tampered = text.slice(0, index) + String.fromCharCode(text.charCodeAt(index) ^ 1) + text.slice(index + 1);
      let parsed: unknown;
      try {
        parsed = JSON.parse(tampered);
      } catch {
        parsed = undefined;
      }
      if (JSON.stringify(parsed) === original) continue;
      const error = await failureOf(() =>
        serializer.deserialize(tampered, { em: database.orm.em.fork(), ...demanded }),
      );
      expect(['E_BAD_SIGNATURE', 'E_MALFORMED', 'E_UNSUPPORTED_VERSION']).toContain(error.code);
    }
    expect(database.statements).toEqual([]);
  });
});

test('a long key above many missing rows is told once', async () => {
  const rows = Array.from({ length: 20_000 }, (_, index) => ({ $entity: ['User', index + 1] }));
  const error = await failureOf(() => decode({ $byref: 1, data: { [' '.repeat(500_000)]: rows } }));
  expect([error.code, error.tokens.length]).toEqual(['E_ENTITY_NOT_FOUND', 20_000]);
  expect(error.path!.length).toBeLessThan(1_000);
});
