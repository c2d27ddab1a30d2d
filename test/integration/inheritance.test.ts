import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySchema } from '@mikro-orm/core';
import fc from 'fast-check';
import { EntitySerializer, EntityToken } from 'mikro-orm-byref';
import {
  Animal,
  Car,
  Cat,
  Document,
  Dog,
  inheritance,
  Invoice,
  Puppy,
  Receipt,
  Truck,
  Vehicle,
} from '../../fixtures/inheritance.ts';
import { isMikroOrm6, schemaOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { has } from '../support/has.ts';

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase(inheritance);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

beforeEach(async () => {
  await schemaOf(database.orm).clear();
  const em = database.orm.em.fork();
  em.create(Dog, { id: 1, name: 'Rex' } as never);
  em.create(Puppy, { id: 2, name: 'Bit' } as never);
  em.create(Cat, { id: 3, name: 'Tom' } as never);
  em.create(Vehicle, { id: 1, wheels: 2 } as never);
  em.create(Car, { id: 2, wheels: 4, doors: 5 } as never);
  em.create(Truck, { id: 3, wheels: 8, load: 20 } as never);
  em.create(Invoice, { id: 1, total: 10 } as never);
  em.create(Receipt, { id: 1, paid: true } as never);
  await em.flush();
  database.statements.length = 0;
});

const token = (model: string, id: number): object => ({ $entity: [model, id] });
const decode = <T>(data: unknown, options = {}): Promise<T> =>
  serializer.decode<T>({ $byref: 1, data } as never, { em: database.orm.em.fork(), ...options }) as Promise<T>;

describe('single table', () => {
  test('one query by the root for the whole tree, each row its own class', async () => {
    const back = await decode<Animal[]>([token('Dog', 1), token('Cat', 3), token('Puppy', 2), token('Animal', 1)]);
    expect(back.map((animal) => animal.constructor)).toEqual([Dog, Cat, Puppy, Dog]);
    expect(back[3]).toBe(back[0]);
    expect(selects(database.statements)).toHaveLength(1);
  });

  test('entities travel under their concrete name, and a base class admits them', async () => {
    const animals = await database.orm.em.fork().find(Animal, {}, { orderBy: { id: 'asc' } });
    const payload = serializer.encode(animals);
    expect(payload['data']).toEqual([token('Dog', 1), token('Puppy', 2), token('Cat', 3)]);
    expect(await decode(payload['data'], { only: [Animal] })).toHaveLength(3);
    const error = await failureOf(() => decode(payload['data'], { only: [Dog] }));
    expect([error.code, error.path]).toEqual(['E_MODEL_NOT_ALLOWED', '$[2]']);
  });

  test('a token of a base class takes any of its rows, one of a subclass only its own', async () => {
    expect(await decode(token('Dog', 2))).toBeInstanceOf(Puppy);
    expect((await failureOf(() => decode(token('Puppy', 1)))).code).toBe('E_ENTITY_NOT_FOUND');
    expect(await decode([token('Cat', 1), token('Dog', 1)], { missing: 'null' })).toEqual([null, expect.any(Dog)]);
  });

  test('a token of a base class fills a reference of a subclass, which is no change', async () => {
    const em = database.orm.em.fork();
    const tom = em.getReference(Cat, 3);
    expect(await decode(token('Animal', 3), { em, unflushed: 'throw' })).toBe(tom);
    expect(tom).toMatchObject({ name: 'Tom', meow: null });
  });

  test('a row that has changed its class is missing, also where the identity map knew it', async () => {
    const em = database.orm.em.fork();
    const rex = await em.findOneOrFail(Dog, 1);
    const payload = serializer.encode({ rex });
    await database.orm.em.fork().getConnection().execute(`update animal set type = 'cat' where id = 1`);
    expect((await failureOf(() => serializer.decode(payload, { em: database.orm.em.fork() }))).code).toBe(
      'E_ENTITY_NOT_FOUND',
    );
    expect((await failureOf(() => serializer.decode(payload, { em }))).code).toBe('E_ENTITY_NOT_FOUND');
  });

  test('the same holds for an entity that is kept with unflushed changes', async () => {
    const em = database.orm.em.fork();
    const rex = await em.findOneOrFail(Dog, 1);
    rex.name = 'Max';
    await database.orm.em.fork().getConnection().execute(`update animal set type = 'cat' where id = 1`);
    expect((await failureOf(() => serializer.decode(serializer.encode(rex), { em }))).code).toBe('E_ENTITY_NOT_FOUND');
  });

  test('lazy references are of the named class', async () => {
    const [dog, same] = await decode<Animal[]>([token('Dog', 1), token('Animal', 1)], { freshness: 'lazy' });
    expect(dog).toBeInstanceOf(Dog);
    expect(same).toBe(dog);
  });

  test('the same row has the same dedupe key by whichever class it is named', async () => {
    const em = database.orm.em.fork();
    const reference = em.fork().getReference(Animal, 1);
    expect(serializer.dedupeKey([await em.findOneOrFail(Dog, 1)])).toBe(serializer.dedupeKey([reference]));
  });
});

/** What `extends` of a schema may be. */
const bases: Record<string, (cls: abstract new () => object, schema: EntitySchema) => unknown> = {
  'a class': (cls) => cls,
  'a schema': (_cls, schema) => schema,
  // What decorators write there.
  ...(isMikroOrm6 && { 'a name': (cls) => cls.name }),
};

interface Below {
  readonly extends: string;
  readonly isAbstract: boolean;
}

const below = fc.record<Below>({ extends: fc.constantFrom(...Object.keys(bases)), isAbstract: fc.boolean() });
const concrete = (kind: string): Below => ({ extends: kind, isAbstract: false });

test('any tree whose root has rows of its own, below an abstract base: found is what em.findOne finds', async () => {
  const examples = Object.keys(bases).flatMap((kind): [Below[], Below][] => [
    [[concrete('a class'), concrete(kind)], concrete(kind)],
    [[{ extends: kind, isAbstract: true }, concrete(kind)], concrete(kind)],
  ]);
  const property = fc.asyncProperty(fc.array(below, { minLength: 1, maxLength: 3 }), below, async (chain, first) => {
    abstract class Base {
      declare id: number;
    }
    class Part extends Base {
      declare type: string;
    }
    const base: EntitySchema = new EntitySchema<Base>({
      class: Base,
      abstract: true,
      properties: { id: { type: 'number', primary: true } },
    }) as EntitySchema;
    const schemas = [base];
    const classes: (abstract new () => object)[] = [Part];
    const add = (cls: abstract new () => object, kind: string, more: object): void => {
      const parent = schemas.at(-1)!;
      const extended = bases[kind]!(parent.meta.class as never, parent);
      schemas.push(new EntitySchema({ class: cls, extends: extended, ...more } as never));
    };
    const type = { discriminatorColumn: 'type', discriminatorValue: 'part', properties: { type: { type: 'string' } } };
    add(Part, first.extends, type);
    for (const [index, { extends: kind, isAbstract }] of chain.entries()) {
      const name = `Part${index + 1}`;
      const cls = { [name]: class extends (classes.at(-1) as typeof Part) {} }[name]!;
      add(cls, kind, isAbstract ? { abstract: true, properties: {} } : { discriminatorValue: name, properties: {} });
      classes.push(cls);
    }
    const withRows = classes.filter((_, index) => index === 0 || !chain[index - 1]!.isAbstract);
    const own = await openDatabase(schemas);
    const em = own.orm.em.fork();
    for (const [index, cls] of withRows.entries()) em.create(cls, { id: index + 1 } as never);
    await em.flush();
    const parts = new EntitySerializer(own.orm);
    for (const cls of classes) {
      for (const id of withRows.keys()) {
        const found = await own.orm.em.fork().findOne(cls, (id + 1) as never);
        const token = new EntityToken(cls.name, id + 1);
        const located = await parts.locate(token, { em: own.orm.em.fork(), missing: 'null' });
        // Of an abstract class MikroORM finds all rows of the table.
        const expected = found instanceof cls ? found.constructor : undefined;
        expect([cls.name, id, located?.constructor]).toEqual([cls.name, id, expected]);
      }
    }
    const byRoot = await own.orm.em.fork().find(Part, {});
    own.statements.length = 0;
    const text = withRows.map((cls, index) => new EntityToken(cls.name, index + 1).toString());
    const all = await parts.locateMany(text, { only: [Base], em: own.orm.em.fork() });
    expect(all.map((entity) => entity.constructor)).toEqual(withRows);
    expect(selects(own.statements)).toHaveLength(1 + withRows.length - byRoot.length);
    await own.close();
  });
  await fc.assert(property, { numRuns: 12, examples });
});

test('a subclass with a default filter of its own is read by itself, so that the filter applies', async () => {
  class Shape {
    declare id: number;
    declare name: string;
  }
  class Circle extends Shape {}
  class Square extends Shape {}
  const visible = { name: 'visible', cond: { name: { $ne: 'hidden' } }, default: true };
  const shapes = await openDatabase([
    new EntitySchema<Shape>({
      class: Shape,
      abstract: true,
      discriminatorColumn: 'type',
      properties: { id: { type: 'number', primary: true }, name: { type: 'string' } },
    }),
    new EntitySchema<Circle, Shape>({ class: Circle, extends: Shape, filters: { visible }, properties: {} }),
    new EntitySchema<Square, Shape>({ class: Square, extends: Shape, properties: {} }),
  ]);
  const own = new EntitySerializer(shapes.orm);
  const em = shapes.orm.em.fork();
  em.create(Circle, { id: 1, name: 'hidden' } as never);
  em.create(Square, { id: 2, name: 'hidden' } as never);
  await em.flush();
  const data = [token('Circle', 1), token('Square', 2)];
  const back = await own.decode({ $byref: 1, data } as never, { em: shapes.orm.em.fork(), missing: 'null' });
  expect(back).toEqual([null, expect.any(Square)]);
  await shapes.close();
});

if (has('a table per type')) {
  describe('table per type', () => {
    test('the concrete class is read, one query each, bases and children alike', async () => {
      const back = await decode<[Car, Truck, Vehicle]>([token('Car', 2), token('Truck', 3), token('Vehicle', 1)]);
      expect(back.map((vehicle) => vehicle.constructor)).toEqual([Car, Truck, Vehicle]);
      expect([back[0].doors, back[0].wheels, back[1].load]).toEqual([5, 4, 20]);
      expect(selects(database.statements)).toHaveLength(3);
    });

    test('a token of the base takes a row of a child', async () => {
      expect(await decode(token('Vehicle', 2))).toBeInstanceOf(Car);
      expect((await failureOf(() => decode(token('Truck', 2)))).code).toBe('E_ENTITY_NOT_FOUND');
    });
  });
}

describe('an abstract base without a table', () => {
  test('serves its children under their own names and tables', async () => {
    const em = database.orm.em.fork();
    const documents = [await em.findOneOrFail(Invoice, 1), await em.findOneOrFail(Receipt, 1)];
    expect(JSON.stringify(documents)).toBe('[{"$entity":["Invoice",1]},{"$entity":["Receipt",1]}]');
    const back = await decode<[Invoice, Receipt]>(serializer.encode(documents)['data']);
    expect([back[0].total, back[1].paid]).toEqual([10, true]);
    expect(serializer.registry.names).not.toContain('Document');
    expect(await decode(serializer.encode(documents)['data'], { only: [Document] })).toHaveLength(2);
    expect((await failureOf(() => decode(token('Car', 2), { only: [Document] }))).code).toBe('E_MODEL_NOT_ALLOWED');
  });
});
