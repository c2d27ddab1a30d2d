import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Collection, type EntityManager, EntitySchema } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { onMysql } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';
import { describeWith } from '../support/test-with.ts';

class Tenanted {
  declare id: number;
  declare name: string;
}
class Common {
  declare id: number;
  declare name: string;
}
class Fixed {
  declare id: number;
  declare name: string;
}
class Album {
  declare id: number;
  declare name: string;
  declare tracks: Collection<Track>;
}
class Track {
  declare id: number;
  declare name: string;
  declare album: Album;
}
const properties = { id: { type: 'number', primary: true }, name: { type: 'string' } } as const;
const entities = [
  new EntitySchema<Tenanted>({ class: Tenanted, schema: '*', properties }),
  new EntitySchema<Common>({ class: Common, properties }),
  new EntitySchema<Fixed>({ class: Fixed, schema: 'fixed', properties }),
  new EntitySchema<Album>({
    class: Album,
    schema: '*',
    properties: { ...properties, tracks: { kind: '1:m', entity: () => Track, mappedBy: 'album' } },
  }),
  new EntitySchema<Track>({
    class: Track,
    schema: '*',
    properties: { ...properties, album: { kind: 'm:1', entity: () => Album } },
  }),
];

let database: TestOrm;
let serializer: EntitySerializer;

/** Of `Common`. */
const homeSchema = (): string => (onMysql ? database.orm.config.get('dbName')! : 'public');
/** On MySQL they are databases, which do not go with another one. */
async function dropSchemas({ orm }: TestOrm, ...schemas: string[]): Promise<void> {
  if (!onMysql) return;
  for (const schema of schemas) await orm.em.getConnection().execute(`drop schema ${schema}`);
}
const tenant = (schema: string): EntityManager => database.orm.em.fork({ schema });
const wire = (model: string, schema?: string): object => ({
  $byref: 1,
  data: { $entity: schema === undefined ? [model, 1] : [model, 1, { schema }] },
});
const name = async (payload: object, em: EntityManager, options = {}): Promise<string> =>
  (await serializer.decode<Common>(payload as never, { em, ...options })).name;

describeWith('schemas')('schemas', () => {
  beforeAll(async () => {
    database = await openDatabase(entities);
    serializer = new EntitySerializer(database.orm);
    const run = (sql: string): Promise<unknown> => database.orm.em.fork().getConnection().execute(sql);
    for (const schema of ['t1', 't2']) {
      await run(`create schema ${schema}`);
      await run(`create table ${schema}.tenanted (id int primary key, name text)`);
      await run(`insert into ${schema}.tenanted values (1, '${schema}')`);
      await run(`create table ${schema}.album (id int primary key, name text)`);
      await run(`create table ${schema}.track (id int primary key, name text, album_id int)`);
      await run(`insert into ${schema}.album values (1, '${schema}')`);
      await run(`insert into ${schema}.track values (1, '${schema}', 1)`);
    }
    await run(`create table t1.common (id int primary key, name text)`);
    await run(`insert into t1.common values (1, 't1')`);
    await run(`insert into common values (1, 'public')`);
    await run(`insert into fixed.fixed values (1, 'fixed')`);
  });
  afterAll(async () => {
    await dropSchemas(database, 't1', 't2', 'fixed');
    await database.close();
  });
  beforeEach(() => {
    database.statements.length = 0;
  });

  test("a token carries the schema where it is not the model's own", async () => {
    expect(serializer.encode(await tenant('t1').findOneOrFail(Tenanted, 1))).toEqual(wire('Tenanted', 't1'));
    expect(serializer.encode(await tenant('t1').findOneOrFail(Common, 1))).toEqual(wire('Common', 't1'));
    expect(serializer.encode(await database.orm.em.fork().findOneOrFail(Common, 1))).toEqual(wire('Common'));
    expect(serializer.encode(await tenant('t1').findOneOrFail(Fixed, 1))).toEqual(wire('Fixed'));
    expect(serializer.encode(tenant('t2').getReference(Tenanted, 1))).toEqual(wire('Tenanted', 't2'));
  });

  test("it is accepted where it is the EntityManager's or the model's own", async () => {
    expect(await name(wire('Tenanted', 't1'), tenant('t1'))).toBe('t1');
    expect(await name(wire('Common', homeSchema()), database.orm.em.fork())).toBe('public');
    expect(await name(wire('Fixed', 'fixed'), tenant('t1'))).toBe('fixed');
  });

  test('another schema is refused without a query, unless it is admitted', async () => {
    for (const em of [database.orm.em.fork(), tenant('t1')]) {
      const error = await failureOf(() => name(wire('Tenanted', 't2'), em));
      expect([error.code, error.path, error.retryable]).toEqual(['E_SCHEMA_NOT_ALLOWED', '$', false]);
    }
    expect((await failureOf(() => name(wire('Tenanted', 't2'), tenant('t1'), { schemas: ['t3'] }))).code).toBe(
      'E_SCHEMA_NOT_ALLOWED',
    );
    expect(database.statements).toEqual([]);
    expect(await name(wire('Tenanted', 't2'), tenant('t1'), { schemas: ['t2'] })).toBe('t2');
    expect(
      await name(wire('Tenanted', 't2'), tenant('t1'), { schemas: (schema: string) => schema.startsWith('t') }),
    ).toBe('t2');
  });

  test("a token without a schema is the row of the model's own schema, not the tenant's of the same key", async () => {
    expect(await name(wire('Common'), tenant('t1'))).toBe('public');
    expect(await name(wire('Tenanted'), tenant('t1'))).toBe('t1');
    expect(await name(wire('Common'), database.orm.em.fork(), { schema: 't1' })).toBe('t1');
  });

  test('rows of the same key in two schemas are two entities, a query each', async () => {
    const em = tenant('t1');
    const data = [{ $entity: ['Tenanted', 1, { schema: 't1' }] }, { $entity: ['Tenanted', 1, { schema: 't2' }] }];
    const back = await serializer.decode<Tenanted[]>({ $byref: 1, data }, { em, schemas: ['t2'] });
    expect(back.map((row) => row.name)).toEqual(['t1', 't2']);
    expect(selects(database.statements)).toHaveLength(2);
    database.statements.length = 0;
    const again = await serializer.decode<Tenanted[]>(
      { $byref: 1, data },
      { em, schemas: ['t2'], freshness: 'managed' },
    );
    expect(again).toEqual(back);
    expect([again[0] === back[0], again[1] === back[1]]).toEqual([true, true]);
    expect(database.statements).toEqual([]);
  });

  test('relations are read in the schema of their row, also those beside unflushed changes', async () => {
    const populate = { Album: ['tracks'] };
    const read = (em: EntityManager): Promise<Album> =>
      serializer.decode<Album>(wire('Album', 't1') as never, { em, schemas: ['t1'], populate });
    for (const em of [database.orm.em.fork(), tenant('t1'), tenant('t2')]) {
      (await em.findOneOrFail(Fixed, 1)).name = 'unflushed';
      const album = await read(em);
      expect(Array.from(album.tracks, (track) => track.name)).toEqual(['t1']);
    }
    for (const em of [database.orm.em.fork(), tenant('t1'), tenant('t2')]) {
      (await em.findOneOrFail(Album, 1, { schema: 't1' })).name = 'unflushed';
      const album = await read(em);
      expect([album.name, ...Array.from(album.tracks, (track) => track.name)]).toEqual(['unflushed', 't1']);
    }
  });

  describe('tenants', () => {
    const at = (served: string | undefined): { tenant: () => string | undefined } => ({ tenant: () => served });

    test("a token of the tenant that is served, and of a model's own schema, whatever the EntityManager's is", async () => {
      for (const em of [database.orm.em.fork(), tenant('t2')]) {
        expect(await name(wire('Tenanted', 't1'), em, at('t1'))).toBe('t1');
        expect(await name(wire('Common', 't1'), em, at('t1'))).toBe('t1');
        expect(await name(wire('Common'), em, at('t1'))).toBe('public');
        expect(await name(wire('Fixed', 'fixed'), em, at(undefined))).toBe('fixed');
        expect(await name(wire('Tenanted', 't2'), em, { ...at('t1'), schemas: ['t2'] })).toBe('t2');
        expect(await name(wire('Tenanted'), em, { ...at('t1'), schema: 't1' })).toBe('t1');
        expect(await name(wire('Common'), em, { ...at('t1'), schema: 't1' })).toBe('t1');
        expect(await name(wire('Common'), em, { ...at(undefined), schema: homeSchema() })).toBe('public');
      }
    });

    test.each([
      ['another tenant', wire('Tenanted', 't2'), 't1', {}, 'E_WRONG_TENANT'],
      ['another schema of a model that has its own', wire('Common', 't2'), 't1', {}, 'E_WRONG_TENANT'],
      ['another one by the option schema', wire('Tenanted'), 't1', { schema: 't2' }, 'E_WRONG_TENANT'],
      ['the option for a model that has its own', wire('Common'), 't1', { schema: 't2' }, 'E_WRONG_TENANT'],
      ['nobody is served', wire('Tenanted', 't1'), undefined, {}, 'E_NO_TENANT'],
      ['what is served is no name', wire('Tenanted', 't1'), '', {}, 'E_NO_TENANT'],
      ['the token names none', wire('Tenanted'), 't1', {}, 'E_MISSING_TENANT'],
    ])('%s: %s', async (_case, payload, served, options, code) => {
      for (const freshness of ['refresh', 'managed', 'lazy'] as const) {
        const settings = { ...at(served), ...options, freshness };
        const error = await failureOf(() => name(payload, tenant('t2'), settings));
        expect([error.code, error.path, error.retryable]).toEqual([code, '$', false]);
      }
      expect(database.statements).toEqual([]);
    });

    test('the option of the serializer, asked once a call, at the time of the call', async () => {
      let [served, asked] = ['t1', 0];
      const own = new EntitySerializer(database.orm, { tenant: () => (asked++, served) });
      const text = own.serialize([1, 1].map((id) => tenant('t1').getReference(Tenanted, id)));
      expect(await own.deserialize(text, { em: database.orm.em.fork() })).toMatchObject([
        { name: 't1' },
        { name: 't1' },
      ]);
      expect(asked).toBe(1);
      served = 't2';
      const error = await failureOf(() => own.deserialize(text, { em: database.orm.em.fork() }));
      expect(error.code).toBe('E_WRONG_TENANT');
    });
  });

  test('what is cached for a tenant is made again for another, and for none', async () => {
    let served: string | undefined;
    const own = new EntitySerializer(database.orm, { tenant: () => served });
    const bento = inMemory();
    const cache = new EntityCache(own, bento, { singleProcess: true });
    const found: string[] = [];
    for (served of ['t1', 't2', undefined]) {
      const em = tenant(served ?? homeSchema());
      const factory = (fresh: EntityManager): Promise<Tenanted | Common> =>
        served === undefined ? fresh.findOneOrFail(Common, 1) : fresh.findOneOrFail(Tenanted, 1);
      found.push((await cache.getOrSet({ key: 'first', ttlMs: 60_000, factory, em })).name);
    }
    expect(found).toEqual(['t1', 't2', 'public']);
    await bento.disconnectAll();
  });

  test('the schema of the configuration is the EntityManager’s own where it has no other', async () => {
    const configured = await openDatabase(entities.slice(0, 1), { schema: 't3' });
    const em = configured.orm.em.fork();
    await em.getConnection().execute('create schema t3');
    await em.getConnection().execute('create table t3.tenanted (id int primary key, name text)');
    await em.getConnection().execute(`insert into t3.tenanted values (1, 't3')`);
    const own = new EntitySerializer(configured.orm);
    const payload = own.encode(await em.findOneOrFail(Tenanted, 1));
    expect((await own.decode(payload, { em: configured.orm.em.fork() })).name).toBe('t3');
    expect((await failureOf(() => own.decode(payload, { em: configured.orm.em.fork({ schema: 't2' }) }))).code).toBe(
      'E_SCHEMA_NOT_ALLOWED',
    );
    await dropSchemas(configured, 't3');
    await configured.close();
  });
});
