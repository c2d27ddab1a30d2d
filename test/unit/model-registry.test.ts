import { describe, expect, test } from '@jest/globals';
import { EntitySchema } from '@mikro-orm/core';
import { ByReference, type ByReferenceError, EntitySerializer } from 'mikro-orm-byref';
import { domain } from '../../fixtures/domain.ts';
import { failureOf } from '../support/failure.ts';
import { has } from '../support/has.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const id = { type: 'number', primary: true } as const;
let tables = 0;

/** A new class of the given name, with a table of its own. */
function model(name: string, options?: Parameters<typeof ByReference>[0], properties: object = {}): EntitySchema {
  const cls = { [name]: class {} }[name]!;
  if (options !== undefined) ByReference(options)(cls);
  return new EntitySchema({ class: cls, tableName: `table_${tables++}`, properties: { id, ...properties } } as never);
}

const serializerOf = (...entities: EntitySchema[]): EntitySerializer => new EntitySerializer(offlineOrm(entities));
const conflict = (...entities: EntitySchema[]): Promise<ByReferenceError> => failureOf(() => serializerOf(...entities));

describe('names are told apart at start', () => {
  const conflicts: [string, () => EntitySchema[]][] = [
    ['two declared names', () => [model('A', { name: 'user' }), model('B', { name: 'user' })]],
    ['a name and a class', () => [model('A', { name: 'User' }), model('User')]],
    ['an alias and a class', () => [model('A', { aliases: ['User'] }), model('User')]],
    ['an alias and an alias', () => [model('A', { aliases: ['User'] }), model('B', { aliases: ['User'] })]],
    ['an alias and its own name', () => [model('User', { aliases: ['User'] })]],
  ];
  if (has('two entities of one class name')) {
    conflicts.push(['a declared class and an undeclared one', () => [model('User', {}), model('User')]]);
  }
  test.each(conflicts)('%s', async (_name, entities) => {
    const error = await conflict(...entities());
    expect([error.code, error.retryable]).toEqual(['E_DUPLICATE_MODEL', false]);
    expect(error.message.match(/\(table "table_\d+"\)/g)).toHaveLength(2);
  });

  /** An embeddable, and an entity that holds one: without a holder MikroORM does not discover it. */
  function addressBook(Address: new () => object): [EntitySchema, EntitySchema] {
    const properties = { street: { type: 'string' } };
    const embeddable = new EntitySchema({ class: Address, embeddable: true, properties } as never);
    return [embeddable, model('Holder', undefined, { address: { kind: 'embedded', entity: () => Address } })];
  }

  test('an embeddable of a declared name', async () => {
    const [embeddable, holder] = addressBook(class Address {});
    const error = await conflict(model('A', { aliases: ['Address'] }), embeddable, holder);
    expect([error.code, error.message]).toEqual(['E_DUPLICATE_MODEL', expect.stringContaining('Address (embeddable)')]);
    expect(serializerOf(model('B'), embeddable, holder).registry.names).toEqual(['B', 'Holder']);
  });

  test('an embeddable that is marked', async () => {
    class Address {}
    ByReference()(Address);
    expect((await conflict(...addressBook(Address))).code).toBe('E_INVALID_OPTION');
  });

  test('a pivot table is no model, and no name that a model may take unnoticed', async () => {
    const orm = offlineOrm(domain);
    const pivot = [...orm.getMetadata()].find((metadata) => metadata.pivotTable)!;
    expect(new EntitySerializer(orm).registry.names).toEqual(['Comment', 'Post', 'Tag', 'User']);
    const error = await failureOf(
      () => new EntitySerializer(offlineOrm([...domain, model('A', { aliases: [pivot.className] })])),
    );
    expect([error.code, error.message]).toEqual(['E_DUPLICATE_MODEL', expect.stringContaining(pivot.className)]);
  });

  if (has('two entities of one class name')) {
    test('two undeclared classes of one name fail on first use, both ways', async () => {
      const [first, second] = [model('User'), model('User')];
      const orm = offlineOrm([first, second, model('Other')]);
      const serializer = new EntitySerializer(orm);
      const em = orm.em.fork();
      expect(serializer.serialize(em.getReference('Other' as never, 1 as never))).toContain('["Other",1]');
      const reference = em.getReference(second.meta.class as never, 1 as never);
      expect((await failureOf(() => serializer.serialize(reference))).code).toBe('E_DUPLICATE_MODEL');
      expect(
        (await failureOf(() => serializer.decode({ $byref: 1, data: { $entity: ['User', 1] } }, { em }))).code,
      ).toBe('E_DUPLICATE_MODEL');
    });
  }
});

describe('the version property', () => {
  test.each(['nope', 'name', 'flag'])('%s is none', async (version) => {
    const error = await conflict(model('A', { version }, { name: { type: 'string' }, flag: { type: 'boolean' } }));
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining(version)]);
  });

  test('an integer or a date is one', () => {
    const [a, b] = [
      model('A', { version: 'n' }, { n: { type: 'number' } }),
      model('B', { version: 'at' }, { at: { type: 'Date' } }),
    ];
    expect(serializerOf(a, b).registry.find('A')?.version).toMatchObject({ name: 'n', isDate: false });
    expect(serializerOf(a, b).registry.find('B')?.version).toMatchObject({ name: 'at', isDate: true });
  });
});

describe('@ByReference options', () => {
  test.each<[string, object]>([
    ['name', { name: '' }],
    ['name', { name: 'a\0' }],
    ['name', { name: 1 }],
    ['aliases', { aliases: 'Old' }],
    ['toJSON', { toJSON: 'no' }],
    ['version', { version: 1 }],
    ['missing', { missing: 'drop' }],
    ['populate', { populate: 'author' }],
    ['nam', { nam: 'x' }],
  ])('a bad %s is refused at decoration', async (name, options) => {
    const error = await failureOf(() => ByReference(options)(class {}));
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining(name)]);
  });

  test('an EntitySchema stands for its class, anything else is refused', async () => {
    class Marked {
      declare id: number;
    }
    const schema = new EntitySchema<Marked>({ class: Marked, properties: { id } });
    ByReference({ name: 'marked' })(schema as never);
    expect(serializerOf(schema as never).registry.names).toEqual(['marked']);
    expect((await failureOf(() => ByReference()('User' as never))).code).toBe('E_INVALID_OPTION');
  });
});
