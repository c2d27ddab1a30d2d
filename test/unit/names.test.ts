import { describe, expect, test } from '@jest/globals';
import { BaseEntity, defineEntity, EntitySchema, p } from '@mikro-orm/core';
import fc from 'fast-check';
import { ByReference, ByReferenceMixin, EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { rowTag } from '../../src/cache/tags.ts';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';
import { warningsOf } from '../support/warnings.ts';

type Class = new () => object;

const id = { type: 'number', primary: true } as const;

/** A class of a name that a minifier, or its author, gave it. */
const classNamed = (name: string, base: Class = class {}): Class => ({ [name]: class extends base {} })[name]!;

const schemaOf = (cls: Class, more: object = {}): EntitySchema =>
  new EntitySchema({ class: cls, tableName: 'rows', properties: { id }, ...more } as never);

/** `defineEntity({ name })` with a class of its own. */
function definedAs(name: string, cls: Class, tableName = 'rows'): EntitySchema {
  const schema = defineEntity({ name, tableName, properties: { id: p.integer().primary() } });
  schema.setClass(cls as never);
  return schema as never;
}

const serializerOf = (...entities: EntitySchema[]): EntitySerializer => new EntitySerializer(offlineOrm(entities));

const referenceTo = ({ orm }: EntitySerializer, cls: unknown): object =>
  orm.em.fork().getReference(cls as never, 1 as never);

/** The name in a wire form of a reference. */
const nameIn = (json: unknown): unknown => (JSON.parse(JSON.stringify(json)) as { $entity: unknown[] }).$entity[0];

describe('a model has one name, whoever writes it', () => {
  const aName = fc.stringMatching(/^[A-Z][a-z]{3,6}$/);

  test('whatever the names of its class and its entity, and the declared one', async () => {
    await fc.assert(
      fc.asyncProperty(
        aName,
        fc.option(aName, { nil: undefined }),
        fc.option(aName, { nil: undefined }),
        fc.boolean(),
        async (className, entityName, declared, withMembers) => {
          const cls = classNamed(className, withMembers ? (ByReferenceMixin(BaseEntity) as never) : undefined);
          const schema = entityName === undefined ? schemaOf(cls) : definedAs(entityName, cls);
          ByReference(declared === undefined ? {} : { name: declared })(cls);
          const serializer = serializerOf(schema);
          const [metadata] = serializer.orm.getMetadata();
          const name = declared ?? metadata!.className;
          const reference = referenceTo(serializer, cls) as { toJSON(): unknown; toToken?(): EntityToken };
          const unflushed = new cls() as typeof reference;
          const messages = [() => serializer.serialize(unflushed), () => JSON.stringify(unflushed)].map(
            async (write) => (await failureOf(write)).message.split(' ')[0],
          );
          expect([
            ...serializer.registry.names,
            nameIn(reference),
            nameIn(reference.toJSON()),
            nameIn(serializer.encode(reference)['data']),
            nameIn(JSON.parse(serializer.dedupeKey(reference))),
            nameIn(JSON.parse(serializer.dedupeKey(serializer.token(reference)))),
            serializer.token(reference).model,
            reference.toToken?.().model ?? name,
            rowTag(serializer.registry as never, reference)?.slice('row:["'.length, -'",1]'.length),
            ...(await Promise.all(messages)),
          ]).toEqual(Array.from({ length: 11 }, () => name));
        },
      ),
      { numRuns: 60 },
    );
  });

  // What MikroORM 6 calls the entity differs, so a deploy that moves to 7 gives it a declared name.
  test('defineEntity({ name }) with setClass() is the name with MikroORM 7, and the class with 6', () => {
    const serializer = serializerOf(definedAs('User', classNamed('UserEntity')));
    expect(serializer.registry.names).toEqual([isMikroOrm6 ? 'UserEntity' : 'User']);
    const cls = classNamed('UserEntity');
    ByReference({ name: 'User', aliases: ['UserEntity'] })(cls);
    expect(serializerOf(definedAs('User', cls)).registry.names).toEqual(['User']);
  });

  test('a row of a tree has one identity, also where its root is no declared model', () => {
    const Animal = classNamed('Animal');
    const Dog = classNamed('Dog', Animal);
    const Puppy = classNamed('Puppy', Dog);
    for (const cls of [Dog, Puppy]) ByReference()(cls);
    const tree = [
      schemaOf(Animal, { discriminatorColumn: 'type', abstract: true }),
      new EntitySchema({ class: Dog, extends: Animal, discriminatorValue: 'dog', properties: {} } as never),
      new EntitySchema({ class: Puppy, extends: Dog, discriminatorValue: 'puppy', properties: {} } as never),
    ];
    for (const models of ['all', 'declared'] as const) {
      const serializer = new EntitySerializer(offlineOrm(tree), { models });
      const [dog, puppy] = [referenceTo(serializer, Dog), referenceTo(serializer, Puppy)];
      const rows = [dog, puppy].flatMap((entity) => [
        serializer.dedupeKey(entity),
        serializer.dedupeKey(serializer.token(entity)),
      ]);
      expect(new Set(rows)).toEqual(new Set(['{"$entity":["Animal",1]}']));
      expect(new Set([dog, puppy].map((entity) => rowTag(serializer.registry as never, entity)))).toHaveProperty(
        'size',
        1,
      );
      expect(serializer.token(puppy).model).toBe('Puppy');
    }
  });
});

describe('requireNames', () => {
  test('refuses all models that have only the name of their class, and names them', async () => {
    const [Post, User, Tag] = ['Post', 'User', 'Tag'].map((name) => classNamed(name)) as [Class, Class, Class];
    ByReference({ name: 'tag' })(Tag);
    ByReference()(Post);
    // A name is its class's own: children of a named base have none.
    const Child = classNamed('Child', Tag);
    const entities = [Post, User, Tag, Child].map((cls, index) => schemaOf(cls, { tableName: `rows_${index}` }));
    const error = await failureOf(() => new EntitySerializer(offlineOrm(entities), { requireNames: true }));
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('Child, Post, User;')]);
    const declared = { requireNames: true, models: 'declared' } as const;
    const { message } = await failureOf(() => new EntitySerializer(offlineOrm(entities), declared));
    expect(message).toContain('for Child, Post;');
    expect(new EntitySerializer(offlineOrm([entities[2]!]), { requireNames: true }).registry.names).toEqual(['tag']);
    const wrong = await failureOf(() => new EntitySerializer(offlineOrm([entities[2]!]), { requireNames: 1 } as never));
    expect(wrong.message).toContain('requireNames');
  });
});

describe('names that look minified', () => {
  const warned = async (...names: string[]): Promise<boolean> => {
    const entities = names.map((name, index) => schemaOf(classNamed(name), { tableName: `rows_${index}` }));
    const warnings = await warningsOf(() => serializerOf(...entities));
    expect(warnings.length).toBeLessThan(2);
    return warnings.length === 1;
  };

  test.each(['a', 'Z', '_', '$', 'e1', 'Zt', 'aB', '_e', '$t', 'aBc', 'e1x', '_aB', '$ab', 'User$1'])(
    '%s does',
    async (name) => expect(await warned(name)).toBe(true),
  );

  test.each(['Tag', 'Job', 'Org', 'API', 'User', 'User2', '_User', 'user', 'users', 'Ünit', '人間'])(
    '%s does not',
    async (name) => expect(await warned(name)).toBe(false),
  );

  test('one warning for a serializer, with all of them and what to do', async () => {
    const entities = ['e', 'Post', 't'].map((name, index) =>
      schemaOf(classNamed(name), { tableName: `rows_${index}` }),
    );
    const warnings = await warningsOf(() => serializerOf(...entities));
    expect(warnings).toEqual([
      expect.objectContaining({
        type: 'ByReferenceWarning',
        code: 'BYREF_MINIFIED_NAMES',
        message: expect.stringMatching(/: e, t\..*@ByReference\(\{ name \}\)/),
      }),
    ]);
  });

  test('a name that was written down is taken at its word', async () => {
    const [named, defined] = [classNamed('e'), classNamed('t')];
    ByReference({ name: 'ad' })(named);
    const schemas = [schemaOf(named)];
    // MikroORM 6 calls the entity as its class.
    if (!isMikroOrm6) schemas.push(definedAs('Ad', defined));
    for (const schema of schemas) expect(await warningsOf(() => serializerOf(schema))).toEqual([]);
  });
});

describe('a class that was imported anew', () => {
  const Original = classNamed('User');
  const Child = classNamed('Admin', Original);
  const schemas = [
    schemaOf(Original, { discriminatorColumn: 'type', discriminatorValue: 'user' }),
    new EntitySchema({ class: Child, extends: Original, discriminatorValue: 'admin', properties: {} } as never),
  ];
  const serializer = serializerOf(...schemas, schemaOf(classNamed('Post'), { tableName: 'posts' }));
  const namesOf = (type: unknown): string[] => Array.from(serializer.registry.admittedBy([type]), ({ name }) => name);

  test('stands for the one that MikroORM knows by its name, as for MikroORM itself', () => {
    const Reloaded = classNamed('User');
    expect(serializer.orm.em.fork().getReference(Reloaded as never, 1 as never)).toBeInstanceOf(Original);
    expect(namesOf(Reloaded)).toEqual(['User', 'Admin']);
    expect(namesOf(schemaOf(Reloaded))).toEqual(['User', 'Admin']);
    expect(namesOf(classNamed('Admin', Reloaded))).toEqual(['Admin']);
    expect(namesOf(schemas[0])).toEqual(['User', 'Admin']);
  });

  test('is found by the name of its entity, or of its class', () => {
    const own = serializerOf(definedAs('User', classNamed('UserEntity')));
    const names = own.registry.names;
    for (const type of [classNamed('UserEntity'), definedAs('User', classNamed('UserEntity'))]) {
      expect(Array.from(own.registry.admittedBy([type]), ({ name }) => name)).toEqual(names);
    }
  });

  test('is no other class: neither a name that nobody has, nor one that two have, nor none', async () => {
    for (const type of [classNamed('Nobody'), class {}, {}, undefined, 'User', 1]) {
      expect((await failureOf(() => serializer.registry.admittedBy([type]))).code).toBe('E_INVALID_OPTION');
    }
    // One that MikroORM knows as what it is stands for no other, whatever their names.
    const [Declared, Undeclared] = [classNamed('Declared'), classNamed('Other')];
    ByReference()(Declared);
    const declared = new EntitySerializer(
      offlineOrm([definedAs('Other', Declared), schemaOf(Undeclared, { name: 'Another', tableName: 'others' })]),
      { models: 'declared' },
    );
    expect(Array.from(declared.registry.admittedBy([Declared]), ({ name }) => name)).toHaveLength(1);
    for (const type of [Undeclared, classNamed('Other')].slice(0, isMikroOrm6 ? 1 : 2)) {
      expect((await failureOf(() => declared.registry.admittedBy([type]))).code).toBe('E_INVALID_OPTION');
    }
    const own = serializerOf(
      definedAs('Other', classNamed('Twin')),
      schemaOf(classNamed('Sibling'), { tableName: 'siblings' }),
    );
    expect(own.registry.classOf(classNamed('Twin'))?.name).toBe('Twin');
    if (isMikroOrm6) return;
    const ambiguous = serializerOf(
      definedAs('Twin', classNamed('First')),
      definedAs('Second', classNamed('Twin'), 'twins'),
    );
    expect(ambiguous.registry.names).toEqual(['Second', 'Twin']);
    expect((await failureOf(() => ambiguous.registry.admittedBy([classNamed('Twin')]))).code).toBe('E_INVALID_OPTION');
  });
});

describe('revive() and models that nobody knows', () => {
  const User = classNamed('User');
  const reviving = (json: unknown, serializer = serializerOf(schemaOf(User))) =>
    warningsOf(async () => {
      expect(await serializer.revive(json, { only: [User], em: serializer.orm.em.fork() })).toEqual(json);
    });

  test('warns of a well-formed token once a name, and leaves it as it is', async () => {
    const json = [{ $entity: ['UserEntity', 1] }, { a: { $entity: ['UserEntity', 2] } }, { $entity: ['Other', 'x'] }];
    const warnings = await reviving(json);
    expect(warnings.map(({ type, code }) => [type, code])).toEqual([
      ['ByReferenceWarning', 'BYREF_UNKNOWN_MODEL'],
      ['ByReferenceWarning', 'BYREF_UNKNOWN_MODEL'],
    ]);
    expect(warnings.map(({ message }) => /"(\w+)".*aliases/.exec(message)?.[1])).toEqual(['UserEntity', 'Other']);
  });

  test('says nothing of what is no token', async () => {
    const json = [{ $entity: ['Nobody'] }, { $entity: 'Nobody' }, { $entity: ['Nobody', {}] }, { $entity: [1, 1] }];
    expect(await reviving([...json, { $entity: ['Nobody', 1], more: 1 }])).toEqual([]);
  });

  test('says a bounded number of times what strangers made up', async () => {
    const json = Array.from({ length: 1_000 }, (_, index) => ({ $entity: [`Made${index}`, 1] }));
    expect(await reviving(json)).toHaveLength(100);
    expect(await reviving([{ $entity: ['x'.repeat(10_000), 1] }])).toEqual([]);
  });
});
