/** What an application does with its EntityManager, and what others do to its rows meanwhile. */
import type { AnyEntity, Collection } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/postgresql';
import fc from 'fast-check';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { AUTHORIZERS, type Authorizer } from './asked.ts';
import { clock, hasStreams, hasTablePerType } from './entities.ts';
import { type Field, isA, isLoaded, type Model, modelOf, modelOfEntity, models, type Row, set } from './fields.ts';
import { expectEqual, reviveAsPromised } from './promises.ts';
import { revive, type ReviveOptions } from './revive.ts';
import { type Naming, serialize, serializedAs, tokensOf } from './versions.ts';
import { hasHolders, type Held, lockModes, skips, whileHeld } from './row-locks.ts';
import { viewOf, type World } from './world.ts';

/** Rows 1 to 3 are there at first, 4 is not. */
const ID = fc.integer({ min: 1, max: 4 });
const N = fc.integer({ min: 0, max: 3 });
const MODEL = fc.constantFrom(...models.map(({ name }) => name));
/** Of classes that have more: what remains undefined tells a part of a row from the whole. */
const FETCHED = fc.constantFrom(
  ...models.flatMap(({ name, fields }) => {
    const own = fields.filter(({ role, lazy }) => role !== 'inverse' && role !== 'relation' && !lazy);
    return own.length > 1 || name === 'Badge' ? own.map((field) => [name, field.name] as const) : [];
  }),
);
const QUERIED = fc.constantFrom(...new Set(models.map(({ root }) => root)));
const STRATEGY = fc.constantFrom(undefined, 'joined', 'select-in');

/** The class that a row is of, where it is inserted by somebody. */
const CLASS_AT: Record<string, readonly string[]> = {
  Animal: ['Animal', 'Dog', 'Cat', 'Animal', 'Dog'],
  Vehicle: ['Vehicle', 'Car', 'Truck', 'Vehicle', 'Car'],
};
export const modelAt = (root: string, id: number): Model => modelOf(CLASS_AT[root]?.[id] ?? root);
/** The class that it is of: what it was inserted as, or has become since. */
async function classOf(world: World, name: string, id: number): Promise<Model> {
  const { root } = modelOf(name);
  const row = root in CLASS_AT ? (await world.rows()).find(root, id) : undefined;
  return row?.model ?? modelAt(root, id);
}

/** A model's name and one of its fields. */
const fieldOf = (of: (field: Field) => boolean): fc.Arbitrary<readonly [string, string]> =>
  fc.constantFrom(
    ...models.flatMap(({ name, fields }) => fields.filter(of).map((field) => [name, field.name] as const)),
  );
const SETTABLE = fieldOf(({ role }) => role === 'own' || role === 'check');
const MUTABLE = fieldOf(({ kind }) => kind.mutate !== undefined);
const RELATION = fieldOf(({ role }) => role === 'relation' || role === 'inverse');
const COLLECTION = fc.constantFrom(
  ...models.flatMap(({ name, many }) => many.map((each) => [name, each.name] as const)),
);

const PATHS: Record<string, readonly string[]> = {
  Person: [
    'boss',
    'home',
    'badge',
    'staff',
    'notes',
    'pets',
    'teams',
    'boss.badge',
    'teams.members',
    'staff.notes',
    'badge.person',
  ],
  Badge: ['person', 'person.notes', 'person.teams'],
  Note: ['owner', 'owner.boss', 'owner.teams'],
  Team: ['members', 'members.badge'],
  Animal: ['owner'],
  Dog: ['owner'],
  Cat: ['owner'],
};
const populateOf = (name: string): fc.Arbitrary<string[]> => fc.subarray([...(PATHS[name] ?? [])]);

/** Where MikroORM makes entities by their constructors, no row on a way that it is on already: see `LEFT_OUT`. */
const withoutLoops = (paths: readonly string[]): readonly string[] =>
  isMikroOrm6 ? paths.filter((path) => !/boss|staff|teams.members|badge.person/.test(path)) : paths;

interface Command<Args extends unknown[]> {
  readonly args: fc.Arbitrary<Args>;
  readonly weight?: number;
  /** Whether it can be done now. */
  can?(world: Readonly<World>, ...args: Args): boolean;
  run(world: World, ...args: Args): Promise<unknown>;
}
const command = <Args extends unknown[]>(definition: Command<Args>): Command<never> => definition as never;

const managed = (world: Readonly<World>, name: string, id: number): AnyEntity | undefined => {
  const entity = world.managed(modelOf(name).root, id);
  return entity !== undefined && modelOfEntity(entity).name === name ? entity : undefined;
};
const isFree = (world: Readonly<World>, name: string, id: number): boolean => {
  const entity = managed(world, name, id);
  return entity !== undefined && isLoaded(entity) && !world.removed.has(entity);
};
/** A row that is managed and stays, or a reference to one. */
const isKnown = (world: Readonly<World>, root: string, id: number): boolean => {
  const entity = world.managed(modelOf(root).root, id);
  return entity !== undefined && !world.removed.has(entity);
};
const itemOf = (world: Readonly<World>, name: string, many: string, id: number): AnyEntity | undefined =>
  world.managed(modelOf(modelOf(name).many.find((each) => each.name === many)!.target).root, id);
/** A collection that is loaded, and an item that can be put into it. */
const isOpen = (world: Readonly<World>, name: string, many: string, id: number, n: number): boolean =>
  collectionOf(managed(world, name, id)!, many).isInitialized() && isItem(world, name, many, n);
const isItem = (world: Readonly<World>, name: string, many: string, id: number): boolean => {
  const item = itemOf(world, name, many, id);
  return item !== undefined && isLoaded(item) && !world.removed.has(item);
};
/** See `LEFT_OUT`. */
function isInPart(entity: AnyEntity): boolean {
  const { fields, model } = viewOf(entity);
  return model.fields.some(({ name, lazy }) => !lazy && !name.includes('.') && fields.get(name) === undefined);
}
/** See `LEFT_OUT`. */
const isResultCached = ({ em }: Readonly<World>): boolean => em.config.get('resultCache').global !== undefined;
/** Nothing of another class of its tree is managed in its place. */
const isNoOther = (world: Readonly<World>, name: string, id: number): boolean =>
  !isManaged(world, name, id) || managed(world, name, id) !== undefined;
const isManaged = (world: Readonly<World>, name: string, id: number): boolean =>
  world.managed(modelOf(name).root, id) !== undefined;
const fieldNamed = (name: string, field: string): Field => modelOf(name).fields.find((each) => each.name === field)!;
const collectionOf = (entity: AnyEntity, name: string): Collection<AnyEntity> => (entity as Row)[name] as never;
const lazies = ({ fields }: Model): string[] => fields.filter(({ lazy }) => lazy).map(({ name }) => name);

/** What an application does about a unit of work that fails: it starts another. */
async function orGiveUp(world: World, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isConflict(error)) throw error;
    await world.giveUp();
  }
}

/** Somebody else was faster: an optimistic lock, or a constraint of the database. */
const isConflict = (error: unknown): boolean =>
  error instanceof Error && /^OptimisticLockError$|ConstraintViolation/.test(error.name);
const isWrite = (statement: string): boolean => /^(?:insert|update|delete)/.test(statement);

async function begin(world: World): Promise<void> {
  await world.em.begin();
  world.isInTransaction = true;
}

const where = (id: number) => ({ id }) as never;

export const COMMANDS: Record<string, Command<never>> = {
  find: command({
    args: fc.tuple(MODEL, fc.uniqueArray(ID, { minLength: 1, maxLength: 3 }), STRATEGY),
    weight: 4,
    run: ({ em }, name, ids, strategy) =>
      em.find(modelOf(name).class, { id: { $in: ids } } as never, { ...(strategy && { strategy }) } as never),
  }),
  findOne: command({
    args: fc.tuple(MODEL, ID),
    weight: 2,
    run: ({ em }, name, id) => em.findOne(modelOf(name).class, where(id)),
  }),
  fields: command({
    args: fc.tuple(FETCHED, ID),
    weight: 2,
    run: ({ em }, [name, field], id) => em.findOne(modelOf(name).class, where(id), { fields: [field] } as never),
  }),
  lazies: command({
    args: fc.tuple(
      fieldOf(({ lazy }) => lazy),
      ID,
    ),
    weight: 3,
    run: ({ em }, [name, field], id) => em.findOne(modelOf(name).class, where(id), { populate: [field] } as never),
  }),
  populate: command({
    args: fc
      .constantFrom(...Object.keys(PATHS))
      .chain((name) => fc.tuple(fc.constant(name), ID, populateOf(name), STRATEGY)),
    weight: 3,
    run: (world, name, id, paths, strategy) => {
      const populate = world.database.orm.config.get('forceEntityConstructor') === true ? withoutLoops(paths) : paths;
      const options = { populate, ...(strategy && { strategy }) } as never;
      return world.em.findOne(modelOf(name).class, where(id), options);
    },
  }),
  reference: command({
    args: fc.tuple(MODEL, ID),
    run: async (world, name, id) => world.em.getReference((await classOf(world, name, id)).class, id as never),
  }),
  beside: command({
    args: fc.tuple(MODEL, ID),
    run: ({ em }, name, id) => em.find(modelOf(name).class, where(id), { disableIdentityMap: true }),
  }),
  ...(hasStreams && {
    stream: command({
      args: fc.tuple(MODEL),
      run: async ({ em }, name) => {
        for await (const _entity of em.stream(modelOf(name).class));
      },
    }),
  }),
  qb: command({
    args: fc.tuple(MODEL, ID),
    run: ({ em }, name, id) =>
      (em as SqlEntityManager).createQueryBuilder(modelOf(name).class).where({ id }).getResult(),
  }),
  map: command({
    args: fc.tuple(QUERIED, ID),
    run: async (world, name, id) => {
      const { tables } = await classOf(world, name, id);
      if (tables.length > 1) return;
      const [row] = await world.execute(`select * from ${tables[0]} where id = ${id}`);
      if (row !== undefined) world.em.map(modelOf(name).class, row as never);
    },
  }),
  merge: command({
    args: fc.tuple(SETTABLE, ID, N),
    can: (world, [name, field], id) => !field.includes('.') && isNoOther(world, name, id),
    run: async (world, [name, field], id, n) => {
      const { kind, nullable } = fieldNamed(name, field);
      if ((await classOf(world, name, id)).name === name)
        world.em.merge(modelOf(name).class, { id, [field]: n === 0 && nullable ? null : kind.of(n) } as never);
    },
  }),
  create: command({
    args: fc.tuple(MODEL, ID),
    weight: 2,
    can: (world, name, id) =>
      modelAt(modelOf(name).root, id).name === name &&
      !isManaged(world, name, id) &&
      !world.created.has(`${name} ${id}`),
    run: async (world, name, id) => {
      if ((await world.execute(`select id from ${modelOf(name).tables[0]} where id = ${id}`)).length > 0) return;
      world.em.create(modelOf(name).class, { id, ...(name === 'Person' && { name: `v${id}` }) } as never);
      world.created.add(`${name} ${id}`);
    },
  }),
  upsert: command({
    args: fc.tuple(
      fc.constantFrom(
        ['Person', 'nickname'],
        ['Person', 'bio'],
        ['Badge', 'code'],
        ['Note', 'draft'],
        ['Team', 'title'],
        ...(hasTablePerType
          ? [
              ['Vehicle', 'wheels'],
              ['Car', 'doors'],
              ['Truck', 'cargo'],
            ]
          : []),
      ),
      ID,
      N,
    ),
    can: (world, [name], id) => {
      const entity = managed(world, name!, id);
      if (!isNoOther(world, name!, id) || world.created.has(`${name} ${id}`)) return false;
      return entity === undefined || world.changes(viewOf(entity)).size === 0;
    },
    run: async (world, [name, field], id, n) => {
      if ((await classOf(world, name!, id)).name !== name) return;
      await world.em.upsert(modelOf(name).class, {
        id,
        ...(name === 'Person' && { name: `v${n}` }),
        [field!]: n === 0 ? null : fieldNamed(name, field!).kind.of(n),
      } as never);
    },
  }),
  change: command({
    args: fc.tuple(SETTABLE, ID, N),
    weight: 14,
    can: (world, [name], id) => isFree(world, name, id),
    run: async (world, [name, field], id, n) =>
      world.user(() => set(world.em, managed(world, name, id)!, fieldNamed(name, field), n)),
  }),
  mutate: command({
    args: fc.tuple(MUTABLE, ID, N),
    weight: 8,
    can: (world, [name, field], id) =>
      isFree(world, name, id) && (managed(world, name, id) as unknown as Row)[field] != null,
    run: async (world, [name, field], id, n) =>
      world.user(() =>
        fieldNamed(name, field).kind.mutate!((managed(world, name, id) as unknown as Row)[field] as never, n),
      ),
  }),
  unset: command({
    args: fc.tuple(fc.constantFrom('address', 'geo'), ID),
    weight: 4,
    can: (world, _, id) => isFree(world, 'Person', id),
    run: async (world, root, id) =>
      world.user(() => {
        const person = managed(world, 'Person', id) as unknown as Row;
        const holder = root === 'geo' ? person['address'] : person;
        if (holder != null) (holder as Row)[root] = null;
      }),
  }),
  relate: command({
    args: fc.tuple(RELATION, ID, N),
    weight: 12,
    can: (world, [name, field], id, n) =>
      isFree(world, name, id) && (n === 0 || isKnown(world, fieldNamed(name, field).target!, n)),
    run: async (world, [name, field], id, n) =>
      world.user(() => set(world.em, managed(world, name, id)!, fieldNamed(name, field), n)),
  }),
  add: command({
    args: fc.tuple(COLLECTION, ID, N),
    weight: 10,
    can: (world, [name, many], id, n) => isFree(world, name, id) && isItem(world, name, many, n),
    run: async (world, [name, many], id, n) => {
      const collection = collectionOf(managed(world, name, id)!, many);
      const item = itemOf(world, name, many, n)!;
      const { pivot } = modelOf(name).many.find((each) => each.name === many)!;
      if (pivot !== undefined) world.links.push({ [pivot.own]: id, [pivot.other]: n });
      world.user(() => collection.add(item));
    },
  }),
  drop: command({
    args: fc.tuple(COLLECTION, ID, N),
    weight: 10,
    can: (world, [name, many], id, n) => isFree(world, name, id) && isOpen(world, name, many, id, n),
    run: async (world, [name, many], id, n) =>
      world.user(() => collectionOf(managed(world, name, id)!, many).remove(itemOf(world, name, many, n)!)),
  }),
  remove: command({
    args: fc.tuple(MODEL, ID),
    weight: 4,
    can: (world, name, id) => isFree(world, name, id),
    run: async (world, name, id) => {
      const entity = managed(world, name, id)!;
      world.user(() => world.em.remove(entity));
      world.removed.add(entity);
      world.hasRemoved = true;
    },
  }),
  refresh: command({
    args: fc.tuple(MODEL, ID),
    weight: 5,
    can: (world, name, id) =>
      isFree(world, name, id) &&
      !(isMikroOrm6 && isInPart(managed(world, name, id)!)) &&
      !(isResultCached(world) && world.touched.size > 0),
    run: async (world, name, id) => {
      const entity = managed(world, name, id)!;
      // What is loaded of it: MikroORM takes for the user's what it has not read again.
      const { fields, model } = viewOf(entity);
      const populate = lazies(model).filter((lazy) => fields.get(lazy) !== undefined);
      // One that is gone is removed.
      world.hasRemoved ||= (await world.em.refresh(entity, { populate } as never)) === null;
      world.forget(entity);
    },
  }),
  begin: command({
    args: fc.tuple(),
    weight: 2,
    can: (world) => !world.isInTransaction,
    run: begin,
  }),
  savepoint: command({
    args: fc.tuple(),
    weight: 4,
    can: (world) => world.isInTransaction && !world.hasSavepoint,
    run: async (world) => {
      await world.execute('savepoint half');
      world.hasSavepoint = true;
    },
  }),
  'roll back to savepoint': command({
    args: fc.tuple(),
    weight: 6,
    can: (world) => world.hasSavepoint,
    run: (world) => world.execute('rollback to savepoint half'),
  }),
  commit: command({
    args: fc.tuple(),
    weight: 2,
    can: (world) => world.isInTransaction,
    run: async (world) => {
      await world.em.commit();
      world.isInTransaction = world.hasSavepoint = false;
      world.forget();
    },
  }),
  rollback: command({
    args: fc.tuple(),
    can: (world) => world.isInTransaction,
    run: async (world) => {
      await world.em.rollback();
      world.isInTransaction = world.hasSavepoint = false;
      world.removed.clear();
    },
  }),
  clear: command({
    args: fc.tuple(),
    run: async (world) => {
      world.em.clear();
      world.forget();
    },
  }),
  flush: command({
    args: fc.tuple(),
    weight: 2,
    run: (world) => world.flush(),
  }),
  serialize: command({
    args: fc.tuple(MODEL, ID, fc.constantFrom(true as const, 'required' as const)),
    weight: 2,
    can: (world, name, id) => managed(world, name, id) !== undefined,
    run: async (world, name, id, versions) => {
      const entity = managed(world, name, id)!;
      const expected = serializedAs(world, viewOf(entity), versions);
      expectEqual('what it is serialized as', serialize(world, entity, versions), expected);
    },
  }),
  'elsewhere: update': command({
    args: fc.tuple(SETTABLE, ID, N),
    weight: 6,
    run: async (world, [name, field], id, n) => {
      if (!isA(await classOf(world, name, id), modelOf(name))) return;
      const { column, kind, nullable } = fieldNamed(name, field);
      const table = tableOf(modelOf(name), column);
      const sets = [`${column} = ${n === 0 && nullable ? 'null' : kind.sql(n)}`];
      if (name === 'Person') sets.push('version = version + 1');
      return world.elsewhere(`update ${table} set ${sets.join(', ')} where id = ${id}`);
    },
  }),
};

/** A model's name and one of its relations; */
const POINTS_TO = fieldOf(({ role }) => role === 'relation');

Object.assign(COMMANDS, {
  'elsewhere: point': command({
    args: fc.tuple(POINTS_TO, ID, N),
    weight: 4,
    run: (world, [name, field], id, n) => {
      const model = modelOf(name);
      const { column } = fieldNamed(name, field);
      const sets = [`${column} = ${n === 0 ? 'null' : n}`];
      if (name === 'Person') sets.push('version = version + 1');
      return world.elsewhere(`update ${model.tables[0]} set ${sets.join(', ')} where id = ${id}`);
    },
  }),
  'elsewhere: link': command({
    args: fc.tuple(ID, ID, fc.boolean()),
    weight: 3,
    run: (world, person, team, isLinked) =>
      world.elsewhere(
        isLinked
          ? `insert into person_teams (person_id, team_id) values (${person}, ${team}) on conflict do nothing`
          : `delete from person_teams where person_id = ${person} and team_id = ${team}`,
      ),
  }),
  'elsewhere: insert': command({
    args: fc.tuple(MODEL, ID),
    weight: 2,
    can: (world, name, id) => !world.created.has(`${modelAt(modelOf(name).root, id).name} ${id}`),
    run: async (world, name, id) => world.elsewhere(...insertsOf(await classOf(world, name, id), id)),
  }),
  'elsewhere: delete': command({
    args: fc.tuple(MODEL, ID),
    weight: 2,
    run: (world, name, id) => world.elsewhere(...deletesOf(modelOf(name).root, id)),
  }),
  'elsewhere: become': command({
    args: fc.tuple(MODEL, ID),
    weight: 4,
    can: (_world, name) => modelOf(name).root in CLASS_AT,
    run: (world, name, id) => world.elsewhere(...becoming(modelOf(name), id)),
  }),
} satisfies Record<string, Command<never>>);

function insertsOf({ tables, type, root }: Model, id: number): string[] {
  return tables.map((table) => {
    const columns: Record<string, unknown> = { id };
    if (type !== undefined) columns['type'] = `'${type}'`;
    if (root === 'Person') Object.assign(columns, { name: `'v${id}'`, version: 1 });
    return `insert into ${table} (${Object.keys(columns).join(', ')}) values (${Object.values(columns).join(', ')}) on conflict do nothing`;
  });
}

/** A row is of another class of its tree now: what only the others have is gone. */
function becoming({ name, root, type, tables, fields }: Model, id: number): string[] {
  const others = models.filter((model) => model.root === root && model.name !== name);
  if (type === undefined) {
    const left = others.flatMap((other) => other.tables).filter((table) => !tables.includes(table));
    return [
      ...left.map((table) => `delete from ${table} where id = ${id}`),
      ...tables.slice(1).map((table) => `insert into ${table} (id) select id from ${tables[0]} where id = ${id}`),
    ];
  }
  const columns = others.flatMap((other) => other.fields.map(({ column }) => column));
  const gone = [...new Set(columns)].filter((column) => !fields.some((field) => field.column === column));
  const sets = [`type = '${type}'`, ...gone.map((column) => `${column} = null`)];
  return [`update ${tables[0]} set ${sets.join(', ')} where id = ${id}`];
}

/** What points to a row goes, or points to nothing. */
function deletesOf(root: string, id: number): string[] {
  const own = [...new Set(models.flatMap((model) => (model.root === root ? model.tables : [])))].toReversed();
  const others = models.flatMap(({ tables, fields }) =>
    fields.flatMap(({ role, target, column }) =>
      role === 'relation' && target === root
        ? [`update ${tables[0]} set ${column} = null where ${column} = ${id}`]
        : [],
    ),
  );
  const pivots = { Person: ['person_id'], Team: ['team_id'] }[root] ?? [];
  return [
    ...pivots.map((column) => `delete from person_teams where ${column} = ${id}`),
    ...new Set(others),
    ...own.map((table) => `delete from ${table} where id = ${id}`),
  ];
}

/** The table that has a column. */
function tableOf({ tables, name }: Model, column: string): string {
  if (tables.length === 1 || column === 'wheels') return tables[0]!;
  return tables[1] ?? name;
}

/** A command with its arguments, as fast-check runs and prints it. */
export class Step implements fc.AsyncCommand<World, World> {
  readonly #name: string;
  readonly #args: readonly unknown[];
  constructor(name: string, args: readonly unknown[]) {
    [this.#name, this.#args] = [name, args];
  }
  check(world: Readonly<World>): boolean {
    return (COMMANDS[this.#name] as unknown as Command<[]>).can?.(world, ...(this.#args as [])) ?? true;
  }
  async run(world: World): Promise<void> {
    clock.now = ++world.steps;
    const { run } = COMMANDS[this.#name] as unknown as Command<[]>;
    const sent = await world.sent(() => orGiveUp(world, () => run(world, ...(this.#args as []))));
    // MikroORM flushes before it reads what has changes.
    if (!/^(?:upsert$|elsewhere)/.test(this.#name) && sent.some(isWrite)) world.forget();
    world.noteTold();
  }
  toString(): string {
    return `${this.#name}(${this.#args.map((arg) => JSON.stringify(arg) ?? 'undefined').join(', ')})`;
  }
}

type Contended = ReviveOptions & { readonly held?: Held };

/** A revive: its tokens and options. Its `lockMode` counts in a transaction only. */
export class Revive implements fc.AsyncCommand<World, World> {
  readonly tokens: readonly Naming[];
  readonly options: Contended;
  constructor(tokens: readonly Naming[], options: Contended) {
    [this.tokens, this.options] = [tokens, options];
  }
  check(): boolean {
    return true;
  }
  async run(world: World): Promise<void> {
    const { lockMode, held, ...options } = this.options;
    if (held !== undefined && !world.isInTransaction) await begin(world);
    const isLocking = lockMode !== undefined && world.isInTransaction;
    if (isLocking) Object.assign(options, { lockMode });
    if (options.populate !== undefined) Object.assign(options, { populate: loadable(world, options.populate) });
    const tokens = await tokensOf(world, this.tokens);
    const run = (locked?: Held): Promise<unknown> =>
      world.isTwin ? revive(world, tokens, options) : reviveAsPromised(world, tokens, options, locked);
    await (held === undefined ? run() : whileHeld(world, held, run));
  }
  toString(): string {
    const { only, ...options } = this.options;
    const names = only?.map((model) => (model as { name: string }).name);
    return `revive(${JSON.stringify(this.tokens)}, ${JSON.stringify({ ...options, only: names })})`;
  }
}

/** What a join can load, and constructors can make: see `LEFT_OUT`. */
function loadable({ database }: World, populate: NonNullable<ReviveOptions['populate']>): ReviveOptions['populate'] {
  const { config } = database.orm;
  const isJoined = (config.get('loadStrategy') as string) === 'joined';
  const isMade = config.get('forceEntityConstructor') === true;
  const loadablesOf = (paths: readonly string[]): readonly string[] => {
    const joined = isJoined ? paths.filter((path) => path !== 'pets') : paths;
    return isMade ? withoutLoops(joined) : joined;
  };
  return Object.fromEntries(Object.entries(populate).map(([name, paths]) => [name, loadablesOf(paths!)]));
}

const token: fc.Arbitrary<Naming> = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(MODEL, ID) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('Person'), ID, fc.integer({ min: -1, max: 1 })) },
);
const populating = fc.record(Object.fromEntries(Object.keys(PATHS).map((name) => [name, populateOf(name)])), {
  requiredKeys: [],
});
const refreshing = fc.record(
  {
    freshness: fc.constantFrom('refresh' as const, 'managed' as const),
    unflushed: fc.constantFrom('keep' as const, 'keep' as const, 'throw' as const, 'overwrite' as const),
    missing: fc.constantFrom('null' as const, 'null' as const, 'omit' as const, 'throw' as const),
    parallel: fc.constantFrom(1, 4),
    ...(lockModes.length > 0 && { lockMode: fc.constantFrom(...lockModes) }),
    populate: populating,
    drift: fc.constantFrom('ignore' as const, 'throw' as const, 'tell' as const),
    // These let everything through.
    only: fc.constant(models.map((model) => model.class)),
    filters: fc.constant(false as const),
    authorize: fc.constantFrom(...(Object.keys(AUTHORIZERS) as Authorizer[])),
  },
  { requiredKeys: ['missing'] },
);
/**
 * The same where somebody else holds some of the rows. With SKIP LOCKED nothing is populated: a join skips a row for a
 * related one that is held. Nobody is asked: that reads beside the locks.
 */
const contended = (tokens: readonly Naming[]) =>
  fc
    .tuple(
      refreshing,
      fc.constantFrom(...lockModes),
      fc.record({ tokens: fc.subarray([...tokens], { minLength: 1 }), isShared: fc.boolean() }),
    )
    .map(([{ populate, ...options }, lockMode, held]) => ({
      ...options,
      ...(populate !== undefined && !skips(lockMode) && { populate }),
      authorize: undefined,
      lockMode,
      held,
    }));
const lazy = fc.record({ freshness: fc.constant('lazy' as const), missing: fc.constant('throw' as const) });

/** Whether a program is about a class. */
type Focus = (name: string) => boolean;

const OTHERS = [...new Set(models.map(({ root }) => root))].filter((root) => root !== 'Person');

/**
 * What one class does to another shows where programs meet the same rows often: every other seed's are about `Person`,
 * which has a property of every kind, and two of the others.
 */
function focusOf(seed: number): Focus {
  if (seed % 2 === 0) return () => true;
  const others = new Set([OTHERS[seed % OTHERS.length], OTHERS[(seed >> 1) % OTHERS.length]]);
  return (name) => name === 'Person' || others.has(modelOf(name).root);
}

function revives(focus: Focus): fc.Arbitrary<Revive> {
  const inFocus = token.filter(([name]) => focus(name));
  /** An application names a row by the class that it is of, or by its root. */
  const right = inFocus.map(([name, id, ...newer]): Naming => [modelAt(modelOf(name).root, id).name, id, ...newer]);
  const several = fc.array(inFocus, { minLength: 1, maxLength: 4 });
  return fc
    .oneof(
      { weight: 9, arbitrary: fc.tuple(several, refreshing) },
      ...(hasHolders
        ? [
            {
              weight: 2,
              arbitrary: several.chain((tokens) => fc.tuple(fc.constant(tokens), contended(tokens))),
            },
          ]
        : []),
      { weight: 1, arbitrary: fc.tuple(fc.array(right, { minLength: 1, maxLength: 4 }), lazy) },
    )
    .map(([tokens, options]) => new Revive(tokens, options as never));
}

/** The class that a command's arguments name, if they do. */
const namedBy = ([first]: readonly unknown[]): string | undefined =>
  [first].flat().find((name): name is string => models.some((model) => model.name === name));

function steps(focus: Focus): fc.Arbitrary<fc.AsyncCommand<World, World>>[] {
  return Object.entries(COMMANDS).flatMap(([name, { args, weight = 1 }]) =>
    Array<fc.Arbitrary<fc.AsyncCommand<World, World>>>(weight).fill(
      (args as fc.Arbitrary<never[]>)
        .filter((values) => focus(namedBy(values) ?? 'Person'))
        .map((values) => new Step(name, values)),
    ),
  );
}

/** Programs, and the revive that each ends with, of a seed. */
export function programs(seed: number, maxCommands: number) {
  const focus = focusOf(seed);
  const reviving = revives(focus);
  const commands = fc.commands([...steps(focus), ...Array<typeof reviving>(4).fill(reviving)], {
    maxCommands,
    size: 'max',
  });
  return [commands, reviving] as const;
}
