/**
 * Payloads of any length, one kind of content each: what the suites of growth and of memory read. Without syntax for
 * decorators, so that a process without a compiler reads it too.
 */
import 'reflect-metadata';
import { Expose, Type } from 'class-transformer';
import {
  ByReference,
  ByReferenceError,
  type DeserializeOptions,
  EntitySerializer,
  type JsonValue,
} from 'mikro-orm-byref';
import { ByValue } from 'mikro-orm-byref/class-transformer';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { keys, keySamples } from '../../fixtures/keys.ts';
import { offlineOrm } from './offline-orm.ts';

export class Amount {
  amount!: string;
}
Expose()(Amount.prototype, 'amount');

/** Its type function is told of the holder, and its list is of a class of its own. */
export class Cart {
  lines: Amount[] = [];
}
Type((options) => (options?.object['kind'] === 'none' ? Post : Amount))(Cart.prototype, 'lines');

ByValue('Amount')(Amount);
ByValue('Cart')(Cart);

class Line {
  user?: User;
  any: unknown = null;
}
ByReference(() => User, { optional: true })(Line.prototype, 'user');
Expose()(Line.prototype, 'any');

export class Order {
  lines: Line[] = [];
  named = new Map<string, Line>();
  distinct = new Set<Line>();
  told: Line[] = [];
  amounts: Amount[] = [];
  posts: Post[] = [];
  numbers = new Set<number>();
  last!: User;
}
for (const name of ['lines', 'named', 'distinct']) Type(() => Line)(Order.prototype, name);
Type(() => Object, { discriminator: { property: 'kind', subTypes: [{ name: 'line', value: Line }] } })(
  Order.prototype,
  'told',
);
Type(() => Amount)(Order.prototype, 'amounts');
Type(() => Post)(Order.prototype, 'posts');
Type(() => Number)(Order.prototype, 'numbers');
ByReference(() => User)(Order.prototype, 'last');

export const serializer = new EntitySerializer(offlineOrm([...domain, ...keys]), {
  values: [Amount, Cart],
  signingKeys: ['a secret of thirty-two bytes, ok'],
  limits: { tokens: 1e6, nodes: 1e7 },
});

export interface PayloadCase {
  /** The data of a payload of about as many bytes; the last thing in it is `REFUSED`. */
  readonly make: (bytes: number) => JsonValue;
  readonly options?: DeserializeOptions;
}

export const envelope = (data: JsonValue): JsonValue => ({ $byref: 1, data });

/** Every stage before the first query has been through the rest when this key is refused. */
const REFUSED = { $entity: ['User', 'no number'] };

/** Reads a payload, text or JSON, up to there. */
export async function read(payload: string | JsonValue, options: DeserializeOptions = {}): Promise<void> {
  const all = { em: serializer.orm.em.fork(), ...options };
  try {
    await (typeof payload === 'string'
      ? serializer.deserialize(payload as never, all)
      : serializer.decode(payload, all));
  } catch (error) {
    if (error instanceof ByReferenceError && error.message.endsWith('for id of User.')) return;
    throw error;
  }
  throw new Error('the payload was read to its end');
}

type Item = (index: number) => JsonValue;

export function repeated(item: Item, bytes: number): JsonValue[] {
  const length = JSON.stringify(item(0)).length + 1;
  return Array.from({ length: Math.ceil(bytes / length) }, (_, index) => item(index));
}

const nested = (levels: number, inner: JsonValue): JsonValue =>
  Array.from({ length: levels }).reduce<JsonValue>((json) => [json], inner);

const value = (make: (bytes: number) => JsonValue): PayloadCase => ({ make: (bytes) => [make(bytes), REFUSED] });

const list = (item: Item): PayloadCase => value((bytes) => repeated(item, bytes));

const object = (key: Item): PayloadCase =>
  value((bytes) => Object.fromEntries(repeated((index) => [key(index), 1], bytes) as [string, JsonValue][]));

const dto = (property: keyof Order, item: Item, put = (items: JsonValue[]): JsonValue => items): PayloadCase => ({
  make: (bytes) => ({ [property]: put(repeated(item, bytes)), last: REFUSED }),
  options: { as: Order },
});

const user: Item = (index) => ({ $entity: ['User', index + 1] });

export const PAYLOAD_CASES: Readonly<Record<string, PayloadCase>> = {
  numbers: list((index) => index),
  'one text': value((bytes) => 'x'.repeat(bytes)),
  'many keys': object((index) => `key ${index}`),
  'keys that look like integers': object((index) => String(index * 1_000)),
  'keys that start with $': object((index) => `$$${index}`),
  'one long key': value((bytes) => ({ [' '.repeat(bytes)]: 1 })),
  'a long key above others': value((bytes) => ({ [' '.repeat(bytes / 2)]: repeated(user, bytes / 2) })),
  'deep arrays': list(() => nested(150, 1)),
  'empty arrays': list(() => []),
  'empty objects': list(() => ({})),
  $date: list(() => ({ $date: '2026-11-25T00:00:00.000Z' })),
  $bigint: list(() => ({ $bigint: '9007199254740993' })),
  'long $bigint': list(() => ({ $bigint: '9'.repeat(9_000) })),
  $bytes: list(() => ({ $bytes: '3q2+7w==' })),
  'one $bytes': value((bytes) => ({ $bytes: 'AAAA'.repeat(bytes / 4) })),
  $url: list(() => ({ $url: 'https://example.org/' })),
  'one $url': value((bytes) => ({ $url: `https://example.org/${'a'.repeat(bytes)}` })),
  $number: list(() => ({ $number: 'NaN' })),
  $undefined: list(() => ({ $undefined: true })),
  $string: list(() => ({ $string: '\\u0000' })),
  'one $string': value((bytes) => ({ $string: `\\u0000${'x'.repeat(bytes)}` })),
  $map: value((bytes) => ({ $map: repeated((index) => [`key ${index}`, index], bytes) })),
  'many $map': list((index) => ({ $map: [['a', index]] })),
  'empty $map': list(() => ({ $map: [] })),
  $set: value((bytes) => ({ $set: repeated((index) => `item ${index}`, bytes) })),
  'empty $set': list(() => ({ $set: [] })),
  'rows in a deep $set': value((bytes) => nested(150, { $set: repeated(user, bytes) })),
  $object: value((bytes) => ({ $object: repeated((index) => [`key ${index}`, index], bytes) })),
  $token: list((index) => ({ $token: ['User', index] })),
  'value objects': list(() => ({ $value: ['Amount', { amount: '1.50' }] })),
  'deep value objects': list(() => nested(100, { $value: ['Amount', { amount: '1.50' }] })),
  'a value object with unknown keys': value((bytes) => ({
    $value: ['Cart', { ...repeated(() => 1, bytes / 2), lines: repeated(() => ({}), bytes / 2) }],
  })),
  copies: list((index) => ({ $snapshot: ['User', { id: index }] })),
  'copies with relations': list((index) => ({ $snapshot: ['Post', { id: index, author: user(index) }] })),
  'distinct rows': list(user),
  'one row': list(() => user(1)),
  'deep references': list((index) => nested(150, user(index))),
  ...Object.fromEntries(
    keySamples.map(
      ({ model, wire }) => [`keys of ${model.name}`, list(() => ({ $entity: [model.name, wire] }))] as const,
    ),
  ),
  'long text keys': list(() => ({ $entity: ['TextKey', 'x'.repeat(9_000)] })),
  'keys of blanks': list(() => ({ $entity: ['CharKey', `${' '.repeat(9_000)}x`] })),
  'keys of zeros': list(() => ({ $entity: ['DecimalKey', `1.${'0'.repeat(9_000)}`] })),
  'a DTO': dto('lines', (index) => ({ user: user(index), any: [1] })),
  'a DTO’s Map': dto(
    'named',
    (index) => [`key ${index}`, { any: 1 }],
    (items) => ({ $map: items }),
  ),
  'a DTO’s Set': dto(
    'distinct',
    () => ({ any: 1 }),
    (items) => ({ $set: items }),
  ),
  'a DTO’s classes by name': dto('told', () => ({ kind: 'line', any: 1 })),
  'a DTO’s value objects': dto('amounts', () => ({ $value: ['Amount', { amount: '1' }] })),
  'a DTO’s copies': dto('posts', (index) => ({ $snapshot: ['Post', { id: index, author: user(index) }] })),
  'a DTO’s plain data': dto('lines', () => ({ any: { $map: [[[1], { $set: [{ a: 1 }] }]] } })),
};
