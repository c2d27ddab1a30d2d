/** One EntityManager and its database, and what the oracle knows of both. */
import { type AnyEntity, Collection, type EntityManager, helper } from '@mikro-orm/core';
import type { EntitySerializer } from 'mikro-orm-byref';
import type { TestOrm } from '../../fixtures/orm.ts';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { clock } from './entities.ts';
import {
  idOf,
  isLoaded,
  isUndefinedNull,
  type Many,
  type Model,
  modelOf,
  modelOfEntity,
  models,
  type Row,
  type Text,
  textOf,
  valueOf,
} from './fields.ts';

/** What an EntityManager shows of an entity. */
export interface View {
  readonly entity: AnyEntity;
  readonly model: Model;
  readonly fields: ReadonlyMap<string, Text>;
  /** The keys of the items, sorted; undefined where it is not loaded. */
  readonly many: ReadonlyMap<string, Text>;
}
/** All that is managed. */
export type Views = ReadonlyMap<AnyEntity, View>;

export function viewOf(entity: AnyEntity): View {
  const model = modelOfEntity(entity);
  const fields = new Map(model.fields.map((field) => [field.name, valueOf(entity, field)]));
  const many = new Map(model.many.map(({ name }) => [name, itemsOf((entity as Row)[name] as never)]));
  return { entity, model, fields, many };
}

const itemsOf = (collection: Collection<AnyEntity> | undefined): Text =>
  collection?.isInitialized() === true ? textOf(collection.getItems(false).map(idOf).sort(ascending)) : undefined;
const ascending = (a: number, b: number): number => a - b;

/** The database, as this EntityManager's connection sees it. */
export class Rows {
  readonly #tables: ReadonlyMap<string, readonly Row[]>;
  constructor(tables: ReadonlyMap<string, readonly Row[]>) {
    this.#tables = tables;
  }

  /** The columns of a row of all its class's tables, and the class that it is of. */
  find(root: string, id: number): { readonly model: Model; readonly row: Row } | undefined {
    const [first] = this.#matching(modelOf(root).tables[0]!, 'id', id);
    if (first === undefined) return undefined;
    const model = models.findLast(
      ({ root: ownRoot, type, tables }) =>
        ownRoot === root &&
        (type === undefined || type === first['type']) &&
        tables.every((table) => this.#matching(table, 'id', id).length > 0),
    )!;
    return { model, row: Object.assign({}, ...model.tables.map((table) => this.#matching(table, 'id', id)[0])) as Row };
  }

  #matching(table: string, column: string, value: unknown): readonly Row[] {
    return this.#tables.get(table)!.filter((row) => row[column] === value);
  }

  /** What a field of a row is; undefined where the row's class has none of that name. */
  valueOf({ model, row }: { readonly model: Model; readonly row: Row }, name: string): Text {
    const field = model.fields.find((each) => each.name === name);
    if (field === undefined) return undefined;
    const { role, column, kind, target } = field;
    if (role === 'inverse')
      return textOf(this.#matching(modelOf(target!).tables[0]!, column, row['id'])[0]?.['id'] ?? null);
    const stored = row[column] ?? null;
    return textOf(stored === null ? null : kind.read(stored));
  }

  /** The keys of the rows that a collection has. */
  items(id: number, { target, by, pivot }: Many): number[] {
    const found =
      pivot === undefined
        ? this.#matching(modelOf(target).tables[0]!, by!, id).map((row) => row['id'])
        : this.#matching(pivot.table, pivot.own, id).map((row) => row[pivot.other]);
    return (found as number[]).sort(ascending);
  }

  /** All of it, to compare two. */
  toString(): string {
    return textOf([...this.#tables].map(([name, rows]) => [name, rows.map(textOf).sort()]));
  }
}

const TABLES = [...new Set([...models.flatMap(({ tables }) => tables), 'person_teams'])];

export class World {
  readonly em: EntityManager;
  readonly database: TestOrm;
  readonly serializer: EntitySerializer;
  /** Sends SQL on another connection, where the database has several. Returns false where it had to wait for a lock. */
  readonly elsewhere: (...sql: string[]) => Promise<boolean>;
  isInTransaction = false;
  hasSavepoint = false;
  /** Steps, for what `onUpdate` writes. */
  steps = 0;
  /** What the user has set and not flushed, with the value that it had before. */
  readonly touched = new Map<AnyEntity, Map<string, Text>>();
  #told = new Map<AnyEntity, Map<string, Text>>();
  /** The entities that are scheduled for removal. */
  readonly removed = new Set<AnyEntity>();
  hasRemoved = false;
  /** Whether the last revive has made an entity one of another class. */
  hasReclassed = false;
  /** Pivot rows that the user has added, by column. */
  readonly links: Record<string, number>[] = [];
  /** The keys of entities that are new, and not flushed. */
  readonly created = new Set<string>();

  /** Whether it runs a program a second time, without its last revive. */
  readonly isTwin: boolean;

  constructor(
    database: TestOrm,
    serializer: EntitySerializer,
    isTwin: boolean,
    elsewhere: (...sql: string[]) => Promise<boolean>,
  ) {
    this.isTwin = isTwin;
    this.database = database;
    this.serializer = serializer;
    this.elsewhere = elsewhere;
    this.em = database.orm.em.fork();
    clock.now = 0;
  }

  /** Whether a query reads the rows that 1:1 relations of a row are the inverse sides of. */
  get readsInverses(): boolean {
    return this.em.config.get('autoJoinOneToOneOwner') as boolean;
  }

  /** SQL on the EntityManager's own connection. */
  execute(sql: string): Promise<Row[]> {
    const context = this.em.getTransactionContext() as never;
    return this.database.orm.em.getConnection().execute(sql, [], 'all', context) as never;
  }

  async rows(): Promise<Rows> {
    const tables = new Map<string, Row[]>();
    for (const table of TABLES) tables.set(table, await this.execute(`select * from ${table}`));
    return new Rows(tables);
  }

  views(): Views {
    const entities = new Set<AnyEntity>(this.em.getUnitOfWork().getIdentityMap() as Iterable<AnyEntity>);
    return new Map(Array.from(entities, (entity) => [entity, viewOf(entity)]));
  }

  /** The managed entity of a row. */
  managed(root: string, id: number): AnyEntity | undefined {
    for (const entity of this.em.getUnitOfWork().getIdentityMap() as Iterable<AnyEntity>) {
      if (modelOfEntity(entity).root === root && idOf(entity) === id) return entity;
    }
    return undefined;
  }

  /** The user changes something: whatever is another value afterwards, on this or the other side of a relation, is theirs. */
  user(change: () => void): void {
    const before = this.views();
    change();
    for (const [entity, after] of this.views()) {
      const view = before.get(entity);
      if (view === undefined) continue;
      for (const part of ['fields', 'many'] as const) {
        for (const [name, value] of after[part]) {
          const old = view[part].get(name);
          if (value === old) continue;
          let bases = this.touched.get(entity);
          if (bases === undefined) this.touched.set(entity, (bases = new Map()));
          if (!bases.has(name)) bases.set(name, old);
        }
      }
    }
  }

  /** The fields and collections of which an entity holds the user's value, or what MikroORM takes for it. */
  changes(view: View): ReadonlySet<string> {
    const bases = this.touched.get(view.entity) ?? new Map<string, Text>();
    // Of a reference, MikroORM writes all but what is undefined.
    const isChanged = ([name, base]: [string, Text]): boolean => {
      const value = view.fields.get(name) ?? view.many.get(name);
      return value !== base && !(value === undefined && !isLoaded(view.entity));
    };
    const told = this.#told.get(view.entity)?.keys() ?? [];
    const names = [...[...bases].filter(isChanged).map(([name]) => name), ...told];
    // What only the class has that it was of is nobody's any more.
    return new Set(names.filter((name) => view.fields.has(name) || view.many.has(name)));
  }

  /** The fields that MikroORM takes for changed, with what it takes for stored. */
  diffs(): Map<AnyEntity, Map<string, Text>> {
    const diffs = new Map<AnyEntity, Map<string, Text>>();
    for (const { entity, model, fields } of this.views().values()) {
      const stored = helper(entity).__originalEntityData as Row | undefined;
      const isReference = !isLoaded(entity);
      const { __touched } = helper(entity) as { __touched?: boolean };
      if (stored === undefined || (isReference && __touched === false)) continue;
      const comparator = this.em.getComparator();
      const { __meta } = helper(entity);
      const prepared = comparator.prepareEntity(entity) as Row;
      const diff: Row = comparator.diffEntities(
        (isMikroOrm6 ? __meta.className : __meta.class) as never,
        stored,
        prepared,
      );
      const names = new Map<string, Text>();
      for (const { name, kind } of model.fields) {
        const column = name.replaceAll('.', '_');
        const old = stored[column];
        if (!(column in diff) || (isReference && diff[column] === undefined)) continue;
        const base =
          old === undefined && !isUndefinedNull(entity, name) ? undefined : textOf(old == null ? null : kind.read(old));
        // See `LEFT_OUT`: what is in JSON, of entities that are made by their constructors.
        const isUnread = typeof old === 'string' && typeof prepared[column] === 'object' && fields.get(name) === base;
        if (!isUnread) names.set(name, base);
      }
      diffs.set(entity, names);
    }
    return diffs;
  }

  /** What MikroORM takes for the user's after a command that was none of ours: see `LEFT_OUT`. */
  noteTold(): void {
    this.#told = this.diffs();
  }

  /** The value that a field had before the user has set it. */
  base(entity: AnyEntity, name: string): Text {
    return (this.touched.get(entity) ?? this.#told.get(entity))?.get(name);
  }

  /** What was the user's is the database's, or gone. */
  forget(entity?: AnyEntity): void {
    if (entity !== undefined) {
      this.touched.delete(entity);
      this.#told.delete(entity);
      return;
    }
    this.touched.clear();
    this.#told.clear();
    this.removed.clear();
    this.created.clear();
    this.links.length = 0;
  }

  /** Of what the user has set in columns, all but these is the database's. */
  forgetAllBut(entity: AnyEntity, names: Iterable<string>): void {
    const kept = new Set(names);
    for (const { name, role } of modelOfEntity(entity).fields) {
      if (role === 'inverse' || kept.has(name)) continue;
      this.touched.get(entity)?.delete(name);
      this.#told.get(entity)?.delete(name);
    }
  }

  /** What an application does about a failed unit of work. */
  async giveUp(): Promise<void> {
    if (this.isInTransaction) await this.em.rollback();
    this.isInTransaction = this.hasSavepoint = false;
    this.em.clear();
    this.forget();
  }

  async flush(): Promise<void> {
    clock.now = ++this.steps;
    await this.em.flush();
    this.forget();
  }

  /** The statements that are sent meanwhile. */
  async sent(run: () => Promise<unknown>): Promise<string[]> {
    const { statements } = this.database;
    statements.length = 0;
    await run();
    return statements.map((statement) => statement.replace(/ \[took .*$/s, ''));
  }
}
