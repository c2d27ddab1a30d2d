/** A DTO is closed where it holds others: subclasses told by a discriminator or a function, copies, converted values. */
import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Collection, EntitySchema, type Ref } from '@mikro-orm/core';
import { Expose, Type } from 'class-transformer';
import { ByReference, byValue, EntitySerializer } from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { Money } from '../../fixtures/value-objects.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

class Address {
  declare city: string;
  declare landlord: User | undefined;
}
class Parcel {
  declare id: number;
  declare notes: unknown;
  declare recipient: Ref<User>;
  declare address: Address | undefined;
  declare stops: Address[];
  readonly signers = new Collection<User>(this);
}
const AddressSchema = new EntitySchema<Address>({
  class: Address,
  embeddable: true,
  properties: {
    city: { type: 'string' },
    landlord: { kind: 'm:1', entity: () => User, nullable: true },
  },
});
const ParcelSchema = new EntitySchema<Parcel>({
  class: Parcel,
  properties: {
    id: { type: 'number', primary: true },
    notes: { type: 'json', nullable: true },
    recipient: { kind: 'm:1', entity: () => User, ref: true },
    address: { kind: 'embedded', entity: () => Address, nullable: true },
    stops: { kind: 'embedded', entity: () => Address, array: true },
    signers: { kind: 'm:n', entity: () => User, owner: true },
  },
});

let database: TestOrm;
let serializer: EntitySerializer;
const decode = <T extends object>(as: new () => T, data: unknown, options = {}): Promise<T> =>
  serializer.decode({ $byref: 1, data } as never, { as, em: database.orm.em.fork() as never, ...options });

beforeAll(async () => {
  database = await openDatabase([...domain, AddressSchema, ParcelSchema]);
  serializer = new EntitySerializer(database.orm, { values: [Money] });
  const em = database.orm.em.fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  em.create(Post, { id: 1, title: 'Hello', body: '', author: ann });
  await em.flush();
});
afterAll(() => database.close());
/** Nothing has been asked of the database. */
async function expectRefused(as: new () => object, data: unknown, path: string): Promise<void> {
  database.statements.length = 0;
  const error = await failureOf(() => decode(as, data));
  expect([error.code, error.path]).toEqual(['E_MALFORMED', path]);
  expect(database.statements).toEqual([]);
}

const user = { $entity: ['User', 1] };
const post = { $entity: ['Post', 1] };

describe('what a discriminator tells apart', () => {
  class Shape {
    @Expose()
    kind!: string;
  }
  class Circle extends Shape {
    @Expose()
    radius!: number;
  }
  class Square extends Shape {
    @Expose()
    side!: number;
  }
  const discriminator = {
    property: 'kind',
    subTypes: [
      { name: 'circle', value: Circle },
      { name: 'square', value: Square },
    ],
  };
  class OfObject {
    @Type(() => Object, { discriminator, keepDiscriminatorProperty: true })
    shape: unknown;
  }
  class OfBase {
    @Type(() => Shape, { discriminator, keepDiscriminatorProperty: true })
    shape!: Shape;
  }

  test.each([
    ['a scalar', 5],
    ['entries', { $object: [['kind', 'circle']] }],
    ['entries with a key more', { $object: [['kind', 'circle'], ['radius', 1], ['admin', true]] }], // prettier-ignore
    ['a Map', { $map: [['kind', 'circle']] }],
    ['a value object', { $value: ['Money', { amount: '1' }] }],
    ['a copy', { $snapshot: ['User', { kind: 'circle' }] }],
    ['another name', { kind: 'constructor' }],
    ['a name in a list', { kind: ['circle'] }],
  ])('is an object with its name, and not %s', async (_what, shape) => {
    for (const dto of [OfObject, OfBase]) await expectRefused(dto, { shape }, '$.shape');
  });

  test('is the class that was checked, however its name is spelled', async () => {
    for (const kind of ['circle', { $string: 'circle' }]) {
      for (const dto of [OfObject, OfBase]) {
        expect((await decode(dto, { shape: { kind, radius: 1 } })).shape).toBeInstanceOf(Circle);
        await expectRefused(dto, { shape: { kind, side: 1 } }, '$.shape.side');
      }
    }
  });

  test('by a function of @Type as well: it is told of the scalars beside it, and of nothing that comes later', async () => {
    const told: unknown[] = [];
    class Told {
      @Expose()
      kind!: string;
      @ByReference(() => User, { nullable: true, missing: 'null' })
      owner!: User | null;
      @Type((options) => {
        told.push(options!.object);
        return options!.object['kind'] === 'circle' ? Circle : Square;
      })
      shape!: Shape;
    }
    const shape = { kind: 'circle', radius: 1 };
    for (const kind of ['circle', { $string: 'circle' }]) {
      expect((await decode(Told, { kind, owner: user, shape })).shape).toBeInstanceOf(Circle);
    }
    expect(told).not.toEqual([]);
    for (const given of told) expect(given).toEqual({ kind: 'circle' });
    await expectRefused(Told, { kind: { $string: 'square' }, owner: null, shape }, '$.shape.radius');
  });
});

describe('a copy that a DTO declares', () => {
  class Send {
    @Type(() => Parcel)
    parcel!: Parcel;
  }
  const send = (data: object): unknown => ({ parcel: { $snapshot: ['Parcel', data] } });
  const at = "$.parcel['$snapshot'][1]";

  test('comes with the rows of its relations', async () => {
    const em = database.orm.em.fork();
    const ann = await em.findOneOrFail(User, 1);
    const given = em.create(Parcel, {
      id: 1,
      notes: { price: 1 },
      recipient: ann,
      address: { city: 'Brno', landlord: ann },
      stops: [{ city: 'Praha', landlord: ann }],
      signers: [ann],
    } as never);
    em.clear();
    const { parcel } = await decode(Send, serializer.encode({ parcel: byValue(given) })['data']);
    expect(parcel.recipient.unwrap()).toBeInstanceOf(User);
    expect([parcel.address!.landlord!.name, parcel.stops[0]!.landlord!.name]).toEqual(['Ann', 'Ann']);
    expect(parcel.signers.getItems().map(({ name }) => name)).toEqual(['Ann']);
    expect(parcel.notes).toEqual({ price: 1 });
  });

  test.each<[string, object, string]>([
    ['a reference in plain data', { notes: user }, '.notes'],
    ['one far down in plain data', { notes: { a: [{ $map: [['b', user]] }] } }, ".notes.a[0]['$map'][0][1]"],
    ['a token in plain data', { notes: { $token: ['User', 1] } }, '.notes'],
    ['a copy in plain data', { notes: [{ $snapshot: ['Post', { id: 1 }] }] }, '.notes[0]'],
    ['a reference under a key that the class does not have', { other: user }, '.other'],
    ['a reference under a key that does not travel', { recipient_id: user }, '.recipient_id'],
    ['a row of another model as relation', { recipient: post }, '.recipient'],
    ['a copy as relation', { recipient: { $snapshot: ['User', { id: 1 }] } }, '.recipient'],
    ['data as relation', { recipient: { id: 1 } }, '.recipient'],
    ['one row for a list', { signers: user }, '.signers'],
    ['a Map for a list', { signers: { $map: [['a', user]] } }, '.signers'],
    ['a row of another model in a list', { signers: [user, post] }, '.signers[1]'],
    ['a row of another model in an embedded object', { address: { city: '', landlord: post } }, '.address.landlord'],
    ['a reference in plain data of an embedded object', { stops: [{ city: user }] }, '.stops[0].city'],
    ['a reference for an embedded object', { address: user }, '.address'],
    ['a reference in a value object', { notes: { $value: ['Money', { amount: user }] } }, ".notes['$value'][1].amount"],
  ])('takes no %s', async (_what, data, path) => {
    await expectRefused(Send, send(data), `${at}${path}`);
  });

  test('is of its class', async () => {
    await expectRefused(Send, { parcel: { $snapshot: ['User', { id: 1 }] } }, "$.parcel['$snapshot']");
    await expectRefused(Send, { parcel: user }, '$.parcel');
  });
});

test('texts that become numbers in a Set are limited as numbers are', async () => {
  class Chosen {
    @Type(() => Number)
    ids = new Set<number>();
  }
  const of = (count: number): unknown => ({
    ids: { $set: Array.from({ length: count }, (_, index) => String(index)) },
  });
  expect((await decode(Chosen, of(10_000))).ids.size).toBe(10_000);
  expect((await failureOf(() => decode(Chosen, of(10_001)))).code).toBe('E_MALFORMED');
});
