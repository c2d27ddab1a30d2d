import { describe, expect, test } from '@jest/globals';
import { EntityToken, type KeyValue } from 'mikro-orm-byref';
import { failureOf } from '../support/failure.ts';

const keys: readonly (KeyValue | readonly KeyValue[])[] = [
  1,
  '1',
  true,
  1n,
  new Date(0),
  Uint8Array.of(1),
  '',
  'John Doe-Smith/Jones',
  ['', 'x'],
  ['x', ''],
  ['a/b', 'c'],
  ['a', 'b/c'],
  [1, '1'],
  ['1', 1],
  [1n, new Date(0), Uint8Array.of(1, 2)],
  Array.from({ length: 25 }, (_, index) => index),
];

describe('a token', () => {
  test.each(keys)('keeps the type of its key: %p', (key) => {
    const token = new EntityToken('User', key);
    expect(token.primaryKey).toEqual(key);
    const back = EntityToken.parse(token.toString());
    expect(back.primaryKey).toEqual(key);
    expect(back.equals(token)).toBe(true);
    expect(token.toString()).toMatch(/^[\w-]+$/);
  });

  test('tells all of these keys apart', () => {
    expect(new Set(keys.map((key) => new EntityToken('User', key).toString())).size).toBe(keys.length);
  });

  test('has its forms pinned', () => {
    const token = new EntityToken('User', 1);
    expect(token.toString()).toBe('WyJVc2VyIiwxXQ');
    expect(JSON.stringify(token)).toBe('{"$token":["User",1]}');
    const detailed = new EntityToken('OrderLine', [7n, 'a'], { schema: 't1', version: new Date(0) });
    expect(JSON.stringify(detailed)).toBe(
      '{"$token":["OrderLine",[{"$bigint":"7"},"a"],{"schema":"t1","version":{"$date":"1970-01-01T00:00:00.000Z"}}]}',
    );
    expect(EntityToken.parse(detailed.toString())).toMatchObject({
      model: 'OrderLine',
      schema: 't1',
      version: new Date(0),
    });
  });

  test('equals by row: model, key and schema, not version', () => {
    const token = new EntityToken('User', 1, { version: 1 });
    expect(token.equals(new EntityToken('User', 1, { version: 2 }))).toBe(true);
    for (const other of [
      new EntityToken('User', 2),
      new EntityToken('Post', 1),
      new EntityToken('User', '1'),
      new EntityToken('User', 1, { schema: 't' }),
    ]) {
      expect(token.equals(other)).toBe(false);
    }
    for (const other of [null, undefined, 1, token.toString(), { model: 'User', primaryKey: 1 }])
      expect(token.equals(other)).toBe(false);
  });

  test('can not be changed through what it gives out', () => {
    const token = new EntityToken('User', [new Date(0), Uint8Array.of(1)], { version: new Date(0) });
    const before = JSON.stringify(token);
    const [date, bytes] = token.primaryKey as [Date, Uint8Array];
    date.setTime(1);
    bytes[0] = 2;
    (token.version as Date).setTime(1);
    expect(JSON.stringify(token)).toBe(before);
    expect(() => Object.assign(token, { primaryKey: 2 })).toThrow(TypeError);
  });

  test.each<[string, () => unknown]>([
    ['an empty model', () => new EntityToken('', 1)],
    ['an invalid date', () => new EntityToken('User', new Date(Number.NaN))],
    ['null', () => new EntityToken('User', null as never)],
    ['an object', () => new EntityToken('User', { $ne: 1 } as never)],
    ['NaN', () => new EntityToken('User', Number.NaN)],
    ['one part', () => new EntityToken('User', [1])],
    ['a version that is no integer', () => new EntityToken('User', 1, { version: 0.5 })],
    ['an empty text', () => EntityToken.parse('')],
    ['garbage', () => EntityToken.parse('gid://app/User/1')],
    ['JSON of another shape', () => EntityToken.parse(Buffer.from('{"model":"User"}').toString('base64url'))],
    ['a token in another spelling', () => EntityToken.parse(Buffer.from('["User", 1]').toString('base64url'))],
    ['a token with padding', () => EntityToken.parse(`${new EntityToken('User', 12).toString()}=`)],
  ])('%s is malformed', async (_name, make) => {
    expect((await failureOf(make)).code).toBe('E_MALFORMED');
  });
});
