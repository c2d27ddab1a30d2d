/** Where a revive reads: the database that is written to, whatever caches, replicas and load strategies there are. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  Collection,
  type EntityManager,
  EntitySchema,
  type MikroORM,
  type Ref,
  ScalarReference,
} from '@mikro-orm/core';
import type { Options } from '@mikro-orm/postgresql';
import { type DeserializeOptions, EntitySerializer } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { has } from '../support/driver.ts';

abstract class Named {
  declare id: number;
  /** Who has told this row: `now`, `cached` or `replica`. */
  declare by: string;
}

class Hub extends Named {
  declare lazy: string;
  declare scalar: ScalarReference<string>;
  declare one: Ref<Leaf>;
  declare eager: Leaf;
  declare own: Ref<Own>;
  declare inverse: Ref<Inverse>;
  declare eagerInverse: EagerInverse;
  parts = new Collection<Part>(this);
  tags = new Collection<Tag>(this);
  eagerParts = new Collection<EagerPart>(this);
}
class Leaf extends Named {
  declare up: Ref<Leaf> | null;
}
class Own extends Named {
  declare hub: Ref<Hub>;
}
class Inverse extends Named {
  declare hub: Ref<Hub>;
}
class EagerInverse extends Named {
  declare hub: Ref<Hub>;
}
class Part extends Named {
  declare hub: Ref<Hub>;
  declare leaf: Ref<Leaf>;
}
class EagerPart extends Named {
  declare hub: Ref<Hub>;
}
class Tag extends Named {
  hubs = new Collection<Hub>(this);
}

const named = { id: { type: 'integer', primary: true }, by: { type: 'string' } };
const entity = (cls: new () => Named, properties: object): EntitySchema =>
  new EntitySchema({ class: cls, properties: { ...named, ...properties } } as never);
const hub = (kind: string) => ({ kind, entity: () => Hub, ref: true });

const entities = [
  entity(Hub, {
    lazy: { type: 'text', lazy: true },
    scalar: { type: 'text', lazy: true, ref: true },
    one: { kind: 'm:1', entity: () => Leaf, ref: true },
    eager: { kind: 'm:1', entity: () => Leaf, eager: true },
    own: { kind: '1:1', entity: () => Own, owner: true, inversedBy: 'hub', ref: true },
    inverse: { kind: '1:1', entity: () => Inverse, mappedBy: 'hub', ref: true },
    eagerInverse: { kind: '1:1', entity: () => EagerInverse, mappedBy: 'hub', eager: true },
    parts: { kind: '1:m', entity: () => Part, mappedBy: 'hub' },
    eagerParts: { kind: '1:m', entity: () => EagerPart, mappedBy: 'hub', eager: true },
    tags: { kind: 'm:n', entity: () => Tag, owner: true, inversedBy: 'hubs' },
  }),
  entity(Leaf, {
    up: { kind: 'm:1', entity: () => Leaf, ref: true, nullable: true },
  }),
  entity(Own, { hub: { kind: '1:1', entity: () => Hub, mappedBy: 'own', ref: true } }),
  entity(Inverse, { hub: { ...hub('1:1'), owner: true, inversedBy: 'inverse' } }),
  entity(EagerInverse, { hub: { ...hub('1:1'), owner: true, inversedBy: 'eagerInverse' } }),
  entity(Part, { hub: hub('m:1'), leaf: { kind: 'm:1', entity: () => Leaf, ref: true } }),
  entity(EagerPart, { hub: hub('m:1') }),
  entity(Tag, { hubs: { kind: 'm:n', entity: () => Hub, mappedBy: 'tags' } }),
];

const everything = ['one', 'one.up', 'own', 'inverse', 'parts', 'parts.leaf', 'tags'];
const token = { $byref: 1, data: { $entity: ['Hub', 1] } };
const tables = ['hub_tags', 'part', 'eager_part', 'inverse', 'eager_inverse', 'hub', 'own', 'leaf', 'tag'];

/** The same rows with another story: other parts and tags, too. */
async function tell(em: EntityManager, by: string, offset: number): Promise<void> {
  const sql = [
    ...tables.map((table) => `delete from ${table}`),
    ...[5, 1, 2, 3, 4].map(
      (id) => `insert into leaf (id, "by", up_id) values (${id}, '${by}', ${id === 5 ? 'null' : 5})`,
    ),
    `insert into own (id, "by") values (1, '${by}')`,
    `insert into hub (id, "by", lazy, scalar, one_id, eager_id, own_id) values (1, '${by}', '${by}', '${by}', 1, 2, 1)`,
    `insert into inverse (id, "by", hub_id) values (1, '${by}', 1)`,
    `insert into eager_inverse (id, "by", hub_id) values (1, '${by}', 1)`,
    ...[1, 2].flatMap((id) => [
      `insert into part (id, "by", hub_id, leaf_id) values (${id + offset}, '${by}', 1, ${id + 2})`,
      `insert into eager_part (id, "by", hub_id) values (${id + offset}, '${by}', 1)`,
      `insert into tag (id, "by") values (${id + offset}, '${by}')`,
      `insert into hub_tags (hub_id, tag_id) values (1, ${id + offset})`,
    ]),
  ];
  for (const statement of sql) await em.getConnection('write').execute(statement);
}

/** All that the object graph says, with the rows of collections. */
function told(it: Hub): object {
  const by = (item: unknown): unknown => (item as Named | undefined)?.by;
  const list = (items: Collection<never>): unknown[] =>
    items
      .getItems()
      .map((item: Named) => [item.id, item.by])
      .toSorted();
  return {
    hub: it.by,
    eager: by(it.eager),
    eagerInverse: by(it.eagerInverse),
    eagerParts: list(it.eagerParts as never),
    one: by(it.one.unwrap()),
    up: by(it.one.unwrap().up?.unwrap()),
    own: by(it.own.unwrap()),
    inverse: by(it.inverse.unwrap()),
    parts: list(it.parts as never),
    leaves: it.parts.getItems().map(({ leaf }) => by(leaf.unwrap())),
    tags: list(it.tags as never),
  };
}
const now = {
  hub: 'now',
  eager: 'now',
  eagerInverse: 'now',
  eagerParts: [
    [1, 'now'],
    [2, 'now'],
  ],
  one: 'now',
  up: 'now',
  own: 'now',
  inverse: 'now',
  parts: [
    [1, 'now'],
    [2, 'now'],
  ],
  leaves: ['now', 'now'],
  tags: [
    [1, 'now'],
    [2, 'now'],
  ],
};

let replica: TestOrm | undefined;

beforeAll(async () => {
  if (!has('replicas')) return;
  replica = await openDatabase(entities);
  await tell(replica.orm.em.fork(), 'replica', 20);
});
afterAll(() => replica?.close());

const strategies = ['joined', 'select-in', ...(isMikroOrm6 ? [] : ['balanced'])];
const configurations: [string, Partial<Options>][] = strategies.flatMap((loadStrategy) => [
  [`${loadStrategy}`, { loadStrategy } as never],
  [`${loadStrategy}, a global result cache`, { loadStrategy, resultCache: { global: 60_000 } } as never],
  [`${loadStrategy}, a flush before each query`, { loadStrategy, flushMode: 'always' } as never],
]);

describe.each(configurations)('%s', (_name, configuration) => {
  let database: TestOrm;
  let orm: MikroORM;
  let serializer: EntitySerializer;
  let em: EntityManager;

  beforeAll(async () => {
    const replicas = replica && [{ clientUrl: replica.url }];
    database = await openDatabase(entities, { ...configuration, ...(replicas && { replicas }) });
    ({ orm } = database);
    serializer = new EntitySerializer(orm);
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    em = orm.em.fork();
    await forget();
    await tell(em, 'cached', 10);
  });

  /** MikroORM takes its time, seconds even, to make objects that refer to each other of what is in its result cache. */
  const forget = () => orm.config.getResultCacheAdapter().clear();
  const revive = (options: DeserializeOptions = {}) =>
    serializer.decode<Hub>(token, { em, populate: { Hub: everything }, ...options });
  /** Fills the caches with queries like those that follow, and changes the rows then. */
  async function change(): Promise<void> {
    await forget();
    const primer = orm.em.fork();
    const inCaches = { populate: everything, cache: 60_000, connectionType: 'write' };
    await primer.find(Hub, [1] as never, inCaches as never);
    await serializer.decode(token, { em: orm.em.fork(), populate: { Hub: everything } });
    await tell(orm.em.fork(), 'now', 0);
    database.statements.length = 0;
  }
  afterEach(() => {
    const { statements } = database;
    if (replica !== undefined) expect(selects(statements).filter((sql) => !sql.includes('(via write'))).toEqual([]);
    expect(selects(statements).length).toBeGreaterThan(0);
    expect(statements.filter((sql) => /^(?:insert|update|delete|begin)/.test(sql))).toEqual([]);
  });

  test.each(['refresh', 'managed'] as const)('%s: into an EntityManager that has read nothing', async (freshness) => {
    await change();
    expect(told(await revive({ freshness }))).toEqual(now);
  });

  test('into one that has all of it', async () => {
    const before = await em.findOneOrFail(Hub, 1, { populate: everything, connectionType: 'write' } as never);
    await change();
    const back = await revive();
    expect(told(back)).toEqual(now);
    expect(back === before).toBe(true);
  });

  test('into one that has a part of it', async () => {
    await em.findOneOrFail(Hub, 1, { fields: ['lazy'], connectionType: 'write' } as never);
    await change();
    expect(told(await revive())).toEqual(now);
  });

  test.each(['refresh', 'managed'] as const)('%s: into one that has references', async (freshness) => {
    em.getReference(Hub, 1);
    em.getReference(Leaf, 5);
    await change();
    expect(told(await revive({ freshness }))).toEqual(now);
  });

  test('into one with a change', async () => {
    const leaf = await em.findOneOrFail(Leaf, 4, { connectionType: 'write' });
    leaf.by = 'mine';
    await change();
    expect(told(await revive())).toEqual({ ...now, leaves: ['now', 'mine'] });
    leaf.by = 'cached';
  });

  test('its lazy properties, where they are loaded', async () => {
    const loaded = { populate: ['lazy', 'scalar'], connectionType: 'write' } as never;
    const before = await em.findOneOrFail(Hub, 1, loaded);
    await change();
    await revive();
    expect([before.lazy, before.scalar.unwrap()]).toEqual(['now', 'now']);
  });
});
