/**
 * An EntityManager in which entities come and go, however the application spells their keys: what is found by the
 * canonical key is what a look at all that is managed would find, and no row has two objects by our doing.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AnyEntity, EntityManager, EntityMetadata } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import fc from 'fast-check';
import { EntitySerializer } from 'mikro-orm-byref';
import { entitiesOf, type Keyed, keyTypes } from '../../fixtures/key-types.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { PrimaryKey } from '../../src/keys/primary-key.ts';
import { isScheduledForRemoval, rowSchemaOf } from '../../src/orm/entity.ts';
import { storeOf } from '../../src/orm/identity-map.ts';
import { managedByKey } from '../../src/orm/managed-keys.ts';
import { openDatabase } from '../support/database.ts';

const numRuns = process.env['CI'] === undefined ? 10 : 30;

const SQL = ['uuid', 'char(4)', 'varchar(4)', 'numeric', 'numeric(8,2)', 'bytea', 'date as Date', 'timestamptz(1)'];
const types = keyTypes
  .map((type, index) => ({ ...type, ...entitiesOf(type, index) }))
  .filter(({ sql }) => [...SQL, 'time', 'timetz', 'real', 'inet'].includes(sql));

let database: TestOrm;
let orm: MikroORM;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase(types.flatMap(({ schemas }) => schemas));
  ({ orm } = database);
  serializer = new EntitySerializer(orm);
});
afterAll(() => database.close());

/** One EntityManager after the other, and the rows of one class. */
class World {
  em = orm.em.fork() as EntityManager;
  /** How many looks have found an entity by its canonical key alone. */
  found = 0;
  readonly #model: new () => Keyed;
  readonly #keysOf = new WeakMap<AnyEntity, string | undefined>();

  constructor(model: new () => Keyed) {
    this.#model = model;
  }

  get #root(): EntityMetadata {
    return this.em.getMetadata().get(this.#model as never).root as EntityMetadata;
  }

  get #key(): PrimaryKey {
    return PrimaryKey.of(this.#root, this.em.getPlatform());
  }

  get managed(): AnyEntity[] {
    return [...new Set(storeOf(this.em, this.#root).values())];
  }

  entity(at: number): AnyEntity | undefined {
    return this.managed[at % Math.max(1, this.managed.length)];
  }

  keyOf(spelling: unknown): object {
    const names = this.#root.primaryKeys;
    return { [names[0]!]: spelling, ...(names.length > 1 && { [names[1]!]: 1 }) };
  }

  /** What MikroORM and the database make of it is theirs; after a failure an EntityManager is to be cleared. */
  async try(step: () => unknown): Promise<void> {
    try {
      await step();
    } catch {
      this.em.clear();
    }
    this.#settle();
  }

  /** MikroORM takes bytes that are no UTF-8, and Dates of one second, for one key: one entity then stands for two rows. */
  #settle(): void {
    const isOther = (entity: AnyEntity): boolean => {
      const key = this.#key.canonicalOf(entity);
      const before = this.#keysOf.get(entity) ?? key;
      this.#keysOf.set(entity, key);
      return key !== before;
    };
    if (this.managed.filter(isOther).length > 0) this.em.clear();
  }

  /** MikroORM leaves an entity that it has let go of where an earlier spelling of its key has put it. */
  #forget(entity: AnyEntity): void {
    const store = storeOf(this.em, this.#root);
    for (const [hash, left] of store) if (left === entity) store.delete(hash);
  }

  async create(spelling: unknown): Promise<void> {
    await this.try(async () => {
      this.em.create(this.#model, { ...this.keyOf(spelling), note: '' } as never);
      await this.em.flush();
    });
  }

  async revive(at: number): Promise<void> {
    const rows = await orm.em.fork().find(this.#model, {});
    if (rows.length === 0) return;
    this.#settle();
    const row = rows[at % rows.length]!;
    const before = this.#standingFor(this.#key.canonicalOf(row)!, 'public');
    const [revived] = await serializer.deserialize<AnyEntity[]>(serializer.serialize([row]), {
      em: this.em,
      missing: 'null',
    });
    if (before.some((entity) => isScheduledForRemoval(this.em, entity))) return;
    if (before.length > 0) expect(before).toContain(revived);
  }

  #standingFor(canonical: string, schema: string): AnyEntity[] {
    return this.managed.filter(
      (entity) => this.#key.canonicalOf(entity) === canonical && (rowSchemaOf(entity) ?? 'public') === schema,
    );
  }

  look(): void {
    this.#settle();
    const keys = this.#key;
    const entityOf = new Map(this.managed.map((entity) => [keys.canonicalOf(entity), entity]));
    for (const canonical of entityOf.keys()) {
      for (const schema of canonical === undefined ? [] : ['public', 'other']) {
        const walked = this.#standingFor(canonical!, schema);
        // As a token has the key, and so not as any of them spells it.
        const key = { value: keys.databaseKeyOf(entityOf.get(canonical)!), canonical: canonical! };
        const entity = managedByKey(this.em, this.#root, keys, key, schema);
        expect(walked.length === 0 ? [undefined] : walked).toContain(entity);
        if (entity !== undefined) this.found++;
      }
    }
  }

  async refer(spelling: unknown, schema: string | undefined): Promise<void> {
    await this.try(() => this.em.getReference(this.#model, this.keyOf(spelling) as never, { schema } as never));
  }

  async merge(spelling: unknown): Promise<void> {
    await this.try(() => this.em.merge(this.#model, { ...this.keyOf(spelling), note: 'merged' } as never));
  }

  async find(refresh: boolean): Promise<void> {
    await this.try(() => this.em.find(this.#model, {}, { refresh } as never));
  }

  async remove(at: number): Promise<void> {
    const entity = this.entity(at);
    if (entity !== undefined)
      await this.try(async () => {
        await this.em.remove(entity).flush();
        this.#forget(entity);
      });
  }

  async unset(at: number): Promise<void> {
    const entity = this.entity(at);
    if (entity !== undefined)
      await this.try(() => {
        this.em.getUnitOfWork(false).unsetIdentity(entity);
        this.#forget(entity);
      });
  }

  async transaction(spelling: unknown): Promise<void> {
    await this.try(() =>
      this.em.transactional(async (tx) => {
        const inner = new World(this.#model);
        inner.em = tx;
        await inner.refer(spelling, undefined);
        await tx.find(this.#model, {});
        inner.look();
      }),
    );
  }
}

type Step = (world: World) => unknown;

const at = fc.nat(5);
const stepsOf = (spellings: fc.Arbitrary<unknown>): fc.Arbitrary<Step> => {
  const spelled = (step: (spelling: unknown) => Step) => spellings.map(step);
  return fc.oneof(
    { weight: 3, arbitrary: spelled((spelling) => (world) => world.create(spelling)) },
    {
      weight: 2,
      arbitrary: fc.tuple(spellings, fc.constantFrom(undefined, 'other')).map(
        ([spelling, schema]) =>
          (world: World) =>
            world.refer(spelling, schema),
      ),
    },
    spelled((spelling) => (world) => world.merge(spelling)),
    fc.boolean().map((refresh) => (world: World) => world.find(refresh)),
    at.map((index) => (world: World) => world.remove(index)),
    at.map((index) => (world: World) => world.unset(index)),
    fc.constant((world: World) => world.em.clear()),
    fc.constant((world: World) => void (world.em = world.em.fork({ clear: false }))),
    spelled((spelling) => (world) => world.transaction(spelling)),
    { weight: 3, arbitrary: at.map((index) => (world: World) => world.revive(index)) },
    { weight: 3, arbitrary: fc.constant((world: World) => world.look()) },
  );
};

describe.each(types)('$sql', ({ alone, part, spellings }) => {
  test.each([alone, part])('%p: what is found is what a look at all would find', async (model) => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(stepsOf(spellings), { minLength: 5, maxLength: 40 }), async (steps) => {
        await orm.em.fork().nativeDelete(model, {});
        const world = new World(model);
        for (const step of steps) await step(world);
        world.look();
        found += world.found;
      }),
      { numRuns },
    );
    expect(found).toBeGreaterThan(0);
  });
});
