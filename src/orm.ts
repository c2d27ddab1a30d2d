/**
 * The only file that knows MikroORM's internals and what differs between its majors.
 * Everything else reads entities, metadata and the unit of work through these functions.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  Collection,
  DriverException,
  type AnyEntity,
  type Dictionary,
  type EntityManager,
  type EntityMetadata,
  type EntityProperty,
  type FilterOptions,
  helper,
  type LockMode,
  type MikroORM,
  type Platform,
  Reference,
  RequestContext,
  ScalarReference,
  TransactionContext,
  Utils,
  ValidationError,
} from '@mikro-orm/core';
import type { EntityClass } from './options.ts';

/** An entity: what MikroORM's own symbol marks. JSON can't forge it, and an embeddable is none. */
export const isEntity = (value: object): value is AnyEntity => Utils.isEntity(value);

/** An `EntitySchema`, or what `defineEntity` returns; its class is the one that instances have. */
export interface SchemaLike {
  readonly meta: { readonly class: unknown };
}

/** The class behind what MikroORM takes as an entity name, or undefined. */
export function classOf(target: unknown): EntityClass | undefined {
  const cls = typeof target === 'function' ? target : (target as Partial<SchemaLike> | null)?.meta?.class;
  return typeof cls === 'function' ? (cls as EntityClass) : undefined;
}

/** What MikroORM's own toJSON writes. */
export const byValueJson = (entity: AnyEntity): unknown => helper(entity).toObject();

export const metadataOf = (entity: AnyEntity): EntityMetadata => helper(entity).__meta;

export const configOf = (entity: AnyEntity): MikroORM['config'] => helper(entity).__config;

/** What stands for something else in an entity graph, or undefined for any other object. */
export type Wrapper =
  | { readonly kind: 'reference'; readonly entity: AnyEntity }
  | { readonly kind: 'scalar' | 'collection'; readonly loaded: boolean; unwrap(): unknown };

export function wrapperOf(value: object): Wrapper | undefined {
  if (Reference.isReference(value)) return { kind: 'reference', entity: value.unwrap() as AnyEntity };
  if (value instanceof ScalarReference) {
    return { kind: 'scalar', loaded: value.isInitialized(), unwrap: () => value.unwrap() };
  }
  if (Utils.isCollection(value)) {
    const collection = value as Collection<AnyEntity>;
    return { kind: 'collection', loaded: collection.isInitialized(), unwrap: () => collection.getItems(false) };
  }
  return undefined;
}

/**
 * A read-only collection with the given items, or one that is not loaded. Nothing of it reaches the items' own side:
 * adding would enter the owner there, and removing would schedule items for removal where orphans are removed.
 */
export function collectionOf(
  owner: object,
  property: EntityProperty,
  items: readonly AnyEntity[] | undefined,
): Collection<AnyEntity> {
  const collection = new Collection<AnyEntity>(owner, undefined, items !== undefined);
  collection.property = property;
  if (items === undefined) return collection;
  collection.hydrate([], false, false, true);
  // MikroORM 6 has no such parameter, and a member instead.
  if ('readonly' in collection) (collection as { readonly: unknown }).readonly = true;
  for (const item of items) collection.addWithoutPropagation(item);
  return collection;
}

/** What a property of the instance holds for a value: the value, or a `Ref` to it where the class declares one. */
export function referenceIn(property: EntityProperty, value: unknown): unknown {
  if (property.ref !== true) return value;
  return property.targetMeta === undefined ? new ScalarReference(value) : Reference.create(value as AnyEntity);
}

/** The class of an embedded object; undefined where its discriminator names none of several. */
export function embeddableOf(property: EntityProperty, data: unknown): EntityMetadata | undefined {
  const base = property.targetMeta!;
  if (base.polymorphs === undefined) return base;
  const column = base.discriminatorColumn;
  const value = column === undefined ? undefined : (data as Dictionary | null)?.[column];
  return base.polymorphs.find((candidate) => candidate.discriminatorValue === value);
}

/**
 * - `new`: never flushed, even if it already has a key of the application's own
 * - `removed`: deleted, or scheduled for it
 * - `stored`: read from or written to the database, or a reference to a row
 */
export type EntityState = 'new' | 'removed' | 'stored';

export function stateOf(entity: AnyEntity): EntityState {
  const wrapped = helper(entity);
  if (wrapped.__originalEntityData === undefined) return wrapped.__em === undefined ? 'new' : 'removed';
  return isScheduledForRemoval(wrapped.__em, entity) ? 'removed' : 'stored';
}

export function isScheduledForRemoval(em: EntityManager | undefined, entity: AnyEntity): boolean {
  if (em === undefined) return false;
  const removals = em.getUnitOfWork(false).getRemoveStack();
  // Usually empty, and then not worth hashing the entity for.
  return removals.size > 0 && removals.has(entity);
}

export const isLoaded = (entity: AnyEntity): boolean => helper(entity).isInitialized();

/** Flat key values of an entity as its properties hold them; a foreign key contributes the key it points to. */
export const keyValuesOf = (entity: AnyEntity): unknown[] =>
  Utils.flatten((helper(entity).__primaryKeys as unknown[][] | null) ?? [], true);

/** The key's columns, foreign keys flattened to the columns they point to. */
export const keyProperties = (metadata: EntityMetadata): EntityProperty[] => metadata.getPrimaryProps(true);

/** The schema of an entity's row, where MikroORM knows one. */
export const rowSchemaOf = (entity: AnyEntity): string | undefined => helper(entity).__schema;

/** Its rows are in many schemas, as one per tenant. */
export const spansSchemas = (metadata: EntityMetadata): boolean => metadata.schema === '*';

/** The schema a model's rows are in unless somebody says otherwise; undefined where the model lives in many (`*`). */
export function ownSchema(metadata: EntityMetadata, config: MikroORM['config']): string | undefined {
  if (spansSchemas(metadata)) return undefined;
  return metadata.schema ?? config.get('schema') ?? config.getPlatform().getDefaultSchemaName();
}

/**
 * The value of a property as the database last told it, or as it was last written there. After an UPDATE MikroORM
 * keeps a version only on the entity.
 */
export function storedValue(entity: AnyEntity, property: string): unknown {
  const stored = helper(entity).__originalEntityData as Dictionary | undefined;
  return stored !== undefined && property in stored ? stored[property] : (entity as Dictionary)[property];
}

/** True when a flush would write something about this entity. */
export function hasPendingChanges(entity: AnyEntity): boolean {
  const wrapped = helper(entity);
  const stored = wrapped.__originalEntityData;
  if (stored === undefined || !wrapped.isInitialized() || wrapped.__em === undefined) return false;
  const comparator = wrapped.__em.getComparator();
  const changes = comparator.diffEntities(wrapped.__meta.class, stored, comparator.prepareEntity(entity));
  if (Object.keys(changes).length > 0) return true;
  return wrapped.__meta.relations.some((relation) => {
    const value = (entity as Dictionary)[relation.name] as unknown;
    return relation.kind === 'm:n' && Utils.isCollection(value) && (value as Collection<AnyEntity>).isDirty();
  });
}

/** The entities of an inheritance tree that an EntityManager manages, in no order. */
export const managedEntities = (em: EntityManager, metadata: EntityMetadata): Iterable<AnyEntity> =>
  new Set(em.getUnitOfWork(false).getIdentityMap().getStore(metadata.root).values() as Iterable<AnyEntity>);

export function managesAnything(em: EntityManager): boolean {
  for (const _entity of em.getUnitOfWork(false).getIdentityMap()) return true;
  return false;
}

export function managesPendingChanges(em: EntityManager): boolean {
  for (const entity of em.getUnitOfWork(false).getIdentityMap()) if (hasPendingChanges(entity)) return true;
  return false;
}

export const eagerRelations = (metadata: EntityMetadata): string[] =>
  metadata.relations.filter((relation) => relation.eager).map((relation) => relation.name);

/** SQLite, whatever its driver: told by its dates, which are numbers, because the core does not know the classes of drivers. */
export const isSqlite = (platform: Platform): boolean => typeof platform.processDateProperty(new Date(0)) === 'number';

/** PostgreSQL, PGlite among it. */
export const isPostgres = (platform: Platform): boolean => platform.getDefaultSchemaName() === 'public';

export const driverName = (em: EntityManager): string => em.getDriver().constructor.name;

/** SKIP LOCKED, exclusive and shared. */
export const skipsLocked = (lockMode: LockMode): boolean => lockMode === 4 || lockMode === 6;

/** The EntityManager that a call through `em` reaches: the transaction's or the request's; outside both MikroORM refuses the global one. */
export const contextOf = (em: EntityManager): EntityManager => em.getContext();

/**
 * The class whose table one query reads: the root of a single-table tree, the class itself otherwise. A subclass with
 * filters of its own is read by itself, because MikroORM applies only the filters of the class that is queried.
 */
export function queriedClass(metadata: EntityMetadata): EntityMetadata {
  const { root } = metadata;
  if (root === metadata || root.discriminatorColumn === undefined || isTablePerType(root)) return metadata;
  return Object.keys(metadata.filters).every((name) => name in root.filters) ? root : metadata;
}

/** MikroORM 7 only: each class of the tree has a table of its own. */
const isTablePerType = (root: EntityMetadata): boolean => root.inheritanceType === 'tpt';

/** The entity classes, each after those its foreign keys point to; where they point in circles, somewhere among them. */
export function referencedFirst(orm: MikroORM): readonly unknown[] {
  const order = new Set<unknown>();
  const visited = new Set<EntityMetadata>();
  const visit = (metadata: EntityMetadata): void => {
    if (visited.has(metadata)) return;
    visited.add(metadata);
    for (const { kind, owner, targetMeta } of metadata.relations) {
      if (targetMeta !== undefined && (kind === 'm:1' || (kind === '1:1' && owner))) visit(targetMeta);
    }
    order.add(metadata.class);
  };
  for (const metadata of orm.getMetadata()) visit(metadata);
  return [...order];
}

export interface FindByKeysOptions {
  readonly refresh: boolean;
  readonly schema: string | undefined;
  readonly populate: readonly string[] | false | undefined;
  readonly filters: FilterOptions | undefined;
  readonly lockMode: LockMode | undefined;
  /** Reads fresh instances that the EntityManager does not come to manage. */
  readonly besideIdentityMap?: boolean;
}

/**
 * Reads rows by keys in database form, one value per row or one flat tuple. They have been validated, because `find`
 * treats null and objects in this place as "everything" and as operators.
 *
 * - converted keys: `convertCustomTypes: false` is the one form that works for every key shape in both majors
 * - no auto-flush: reading must not write the user's unit of work
 * - write connection, no result cache: a replica or a cache may be older than the job
 */
export function findByKeys(
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  options: FindByKeysOptions,
): Promise<AnyEntity[]> {
  const where = keys.map((key) => (Array.isArray(key) ? key.map(operand) : operand(key)));
  const ordered = options.lockMode !== undefined && {
    orderBy: metadata.primaryKeys.map((name) => ({ [name]: 'asc' })),
  };
  const findOptions = {
    convertCustomTypes: false,
    flushMode: 'commit',
    connectionType: 'write',
    cache: false,
    refresh: options.refresh,
    ...(options.schema !== undefined && { schema: options.schema }),
    ...(options.populate !== undefined && { populate: options.populate }),
    ...(options.filters !== undefined && { filters: options.filters }),
    ...(options.lockMode !== undefined && { lockMode: options.lockMode }),
    ...(options.besideIdentityMap === true && { disableIdentityMap: true }),
    ...ordered,
  };
  const find = () => em.find<AnyEntity>(metadata.class, where as never, findOptions as never) as Promise<AnyEntity[]>;
  const loadsRelations = options.populate === undefined ? eagerRelations(metadata).length > 0 : options.populate;
  return loadsRelations ? withoutFlush(em, find) : find();
}

const withoutFlushing = new AsyncLocalStorage<true>();

/**
 * Runs a query that loads relations and must not write the user's unit of work: MikroORM does not hand the option
 * `flushMode` on to the queries for the relations, and each of those would flush first.
 */
function withoutFlush<T>(em: EntityManager, query: () => Promise<T>): Promise<T> {
  if (!Object.hasOwn(em, 'tryFlush')) {
    const { tryFlush } = em;
    em.tryFlush = async (entityName, options) => {
      if (withoutFlushing.getStore() === undefined) await tryFlush.call(em, entityName as never, options);
    };
  }
  return withoutFlushing.run(true, query);
}

/** Whether a query can read a class; an abstract base of classes with tables of their own has none. */
export const isQueryable = (metadata: EntityMetadata): boolean =>
  metadata.abstract !== true || metadata.root.discriminatorColumn !== undefined;

/** The rows that a condition matches, as entities that hold their key only and that nothing manages; hidden ones too. */
export const findKeys = (em: EntityManager, metadata: EntityMetadata, where: object): Promise<AnyEntity[]> =>
  em.find<AnyEntity>(
    metadata.class,
    where as never,
    {
      fields: metadata.primaryKeys,
      populate: false,
      filters: false,
      disableIdentityMap: true,
      flushMode: 'commit',
      connectionType: 'write',
      cache: false,
    } as never,
  );

/** MikroORM takes a tuple with a boolean in it for nested conditions; PostgreSQL reads the word as the value. */
const operand = (value: unknown): unknown => (typeof value === 'boolean' ? String(value) : value);

/**
 * Loads relations of entities that are already there, without touching what the user has changed. The schema is that of
 * the entities: MikroORM would read related rows in the EntityManager's, which may be another tenant's.
 */
export const populate = (
  em: EntityManager,
  entities: readonly AnyEntity[],
  hints: readonly string[],
  schema: string | undefined,
): Promise<unknown> =>
  withoutFlush(em, () =>
    em.populate(
      entities as AnyEntity[],
      hints as never,
      { connectionType: 'write', ...(schema !== undefined && { schema }) } as never,
    ),
  );

/** A reference without a query; `key` is in database form, flat where it has several columns. */
export function referenceTo(
  em: EntityManager,
  metadata: EntityMetadata,
  key: unknown,
  schema: string | undefined,
): AnyEntity {
  const options = schema === undefined ? {} : { schema };
  return em.getReference<AnyEntity>(
    metadata.class,
    nestKey(metadata, Array.isArray(key) ? [...key] : [key], em.getPlatform()) as never,
    options,
  ) as AnyEntity;
}

/**
 * Turns a flat database key into the JavaScript one that `getReference` wants, consuming it part by part: the value of
 * a single key, an object by property name for any other, because nested arrays lose parts.
 */
function nestKey(metadata: EntityMetadata, flat: unknown[], platform: Platform): unknown {
  const parts = metadata.getPrimaryProps().map((property): [string, unknown] => {
    if (property.targetMeta !== undefined) return [property.name, nestKey(property.targetMeta, flat, platform)];
    const value = flat.shift();
    const { customType } = property;
    return [property.name, customType === undefined ? value : customType.convertToJSValue(value, platform)];
  });
  return metadata.getPrimaryProps(true).length === 1 ? parts[0]![1] : Object.fromEntries(parts);
}

/** Runs `fn` where the global EntityManager resolves to `em`, not to the transaction that has just ended. */
export const runInContext = <T>(em: EntityManager, fn: () => T): T => TransactionContext.create(em, fn);

const EXTENSION = 'mikro-orm-byref';

/** Puts an object where every EntityManager of the ORM finds it; the first one stays. */
export function registerExtension(orm: MikroORM, extension: object): void {
  if (getExtension(orm.em) === undefined) orm.config.registerExtension(EXTENSION, () => extension as never);
}

export const getExtension = (em: EntityManager): object | undefined =>
  em.config.getExtension(EXTENSION) as object | undefined;

const ENDED = Symbol.for('mikro-orm-byref.ended');

/** Kysely's transaction, which is what MikroORM 7 has for one. */
interface KyselyTransaction {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
  /** Of a savepoint that is over. */
  readonly [ENDED]?: true;
  executeQuery(query: object): Promise<{ readonly rows: readonly object[] }>;
}

/** Knex's transaction, a function with members, which is what MikroORM 6 has for one. */
interface KnexTransaction {
  readonly client: { acquireConnection(): Promise<PgClient> };
  /** Of a savepoint: the transaction or savepoint around it. */
  readonly parentTransaction?: KnexTransaction;
  /** Settles with the end, and does not tell a commit from a rollback. */
  readonly executionPromise: Promise<unknown>;
  isCompleted(): boolean;
  rollback(error?: unknown): unknown;
}

interface PgClient {
  query(sql: string, parameters: readonly unknown[]): Promise<{ readonly rows: readonly object[] }>;
}

type Transaction = KyselyTransaction | KnexTransaction;

const isKnex = (transaction: Transaction): transaction is KnexTransaction => 'isCompleted' in transaction;

const hasEnded = (transaction: Transaction): boolean =>
  isKnex(transaction)
    ? transaction.isCompleted()
    : transaction.isCommitted || transaction.isRolledBack || transaction[ENDED] === true;

/**
 * The open transaction or savepoint of an EntityManager, as an identity. The EntityManager of `em.transactional` keeps
 * it when it has ended, and entities keep that EntityManager.
 */
export function transactionOf(em: EntityManager): object | undefined {
  const transaction = em.getTransactionContext<Transaction>();
  return transaction === undefined || hasEnded(transaction) ? undefined : transaction;
}

export const isSavepoint = (transaction: object | undefined): boolean =>
  transaction !== undefined && 'savepointName' in transaction;

/** What a savepoint is in, where it knows that itself: Knex's does. */
export const knownParentOf = (transaction: object): object | undefined =>
  (transaction as Partial<KnexTransaction>).parentTransaction;

/**
 * Tells of the end of a savepoint where MikroORM doesn't: 7 dispatches the events of transactions for savepoints too,
 * 6 for neither their release nor their rollback. `ended` gets the transaction around it when it is released, undefined
 * when it is rolled back.
 */
export function onSavepointEnd(transaction: object, ended: (parent: object | undefined) => void): void {
  const savepoint = transaction as Transaction;
  if (!isKnex(savepoint) || savepoint.parentTransaction === undefined) return;
  let parent: object | undefined = savepoint.parentTransaction;
  const { rollback } = savepoint;
  savepoint.rollback = (error) => {
    parent = undefined;
    return rollback(error);
  };
  savepoint.executionPromise.then(
    () => ended(parent),
    () => ended(undefined),
  );
}

/** Runs SQL with `$1` parameters in the open transaction of an EntityManager, past MikroORM's own placeholders. */
export async function executeInTransaction(
  em: EntityManager,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<object[]> {
  const transaction = transactionOf(em) as Transaction | undefined;
  if (transaction === undefined) throw new Error('The transaction has ended.');
  if (isKnex(transaction)) {
    // The connection of the transaction; Knex would take each `?` for a parameter.
    const connection = await transaction.client.acquireConnection();
    return [...(await connection.query(sql, parameters)).rows];
  }
  const query = { sql, parameters, query: { kind: 'RawNode' }, queryId: { queryId: 'mikro-orm-byref' } };
  return [...(await transaction.executeQuery(query)).rows];
}

/** A savepoint of Kysely does not know that it is over; whoever is told of it says so here. */
export function markEnded(transaction: object): void {
  Reflect.defineProperty(transaction, ENDED, { value: true });
}

/** The EntityManager that manages an entity. */
export const entityManagerOf = (entity: AnyEntity): EntityManager | undefined => helper(entity).__em;

/** The EntityManager of the transaction or request that runs around the call, where that is in a transaction. */
export function ambientTransaction(em: EntityManager): EntityManager | undefined {
  const context = em.getContext(false);
  return transactionOf(context) === undefined ? undefined : context;
}

/** The EntityManager of the transaction or request around the call; undefined where there is none. */
export function ambientContext(em: EntityManager): EntityManager | undefined {
  const context = em.getContext(false);
  return context === em ? undefined : context;
}

/** An EntityManager that has read nothing yet, with the schema and the filters of another one, and its transaction. */
export function freshFork(em: EntityManager, { inTransaction }: { readonly inTransaction: boolean }): EntityManager {
  const { schema } = em;
  return em.fork({ keepTransactionContext: inTransaction, ...(schema !== undefined && { schema }) });
}

/** The entities on both sides of the collections that a flush is about to write, as far as they are known. */
export function* entitiesOfWrittenCollections(em: EntityManager): Iterable<AnyEntity> {
  for (const collection of em.getUnitOfWork(false).getCollectionUpdates()) {
    yield collection.owner as AnyEntity;
    const before = (collection as { getSnapshot?(): AnyEntity[] | undefined }).getSnapshot?.() ?? [];
    yield* new Set([...before, ...collection.getItems(false)]);
  }
}

/**
 * Gives `fn` an EntityManager of its own for each ORM, to which the global ones resolve meanwhile: for a job, what a
 * request has. It is told the first. A transaction around the call is left, which would go before the request.
 */
export const runInRequest = <T>(globals: readonly EntityManager[], fn: (em: EntityManager) => Promise<T>): Promise<T> =>
  RequestContext.create([...globals], () => {
    const managers = globals.map(({ name }) => RequestContext.getEntityManager(name)!);
    const em = managers[0]!;
    return TransactionContext.create(em, async () => {
      try {
        return await fn(em);
      } finally {
        for (const manager of managers) manager.clear();
      }
    });
  });

/** The EntityManagers that a request's are forked from, the first ORM's first. */
export const globalManagers = ({ orms }: { readonly orms: readonly MikroORM[] }): readonly EntityManager[] =>
  orms.map(({ em }) => em);

export const isOf = (em: EntityManager, orm: MikroORM): boolean => em.config === orm.config;

/** True for the errors of MikroORM and its drivers: their messages may quote rows. */
export const isOrmError = (error: Error): boolean =>
  error instanceof ValidationError || error instanceof DriverException || isPostgresError(error);

/** What the driver throws where MikroORM does not translate it. */
const isPostgresError = (error: Error & { severity?: unknown; code?: unknown }): boolean =>
  typeof error.severity === 'string' && typeof error.code === 'string' && error.code.length === 5;

/** How MikroORM connects to PostgreSQL for writing: with the class of its copy of pg, and these settings. */
export interface PostgresConnection {
  readonly Client: new (settings: object) => unknown;
  readonly settings: object;
}

/** `pg.Pool`, which MikroORM 7 has. */
interface PgPool {
  readonly Client: PostgresConnection['Client'];
  readonly options: Settings;
}

/** Knex's client, which MikroORM 6 has. */
interface KnexClient {
  readonly driver: Partial<Pick<PostgresConnection, 'Client'>>;
  readonly connectionSettings?: Settings;
  /** Of settings that change, as those with a password that runs out. */
  readonly connectionConfigProvider?: () => Promise<Settings & { readonly expirationChecker?: unknown }>;
}

/** Its password is hidden from enumeration. */
type Settings = object & { readonly password?: unknown };

interface SqlConnection {
  getNativeClient?(): Promise<unknown>;
  getKnex?(): { readonly client: KnexClient };
}

/**
 * Undefined for another database, and where MikroORM does not hand it out: in older releases of MikroORM 7, and where
 * the application has passed a Kysely instance or dialect as `driverOptions`.
 */
export async function postgresConnectionOf(orm: MikroORM): Promise<PostgresConnection | undefined> {
  const connection: SqlConnection = orm.em.getDriver().getConnection('write');
  const pool =
    connection.getKnex === undefined ? await poolOf(connection) : await poolOfKnex(connection.getKnex().client);
  if (typeof pool?.Client !== 'function' || typeof pool.options !== 'object') return undefined;
  return { Client: pool.Client, settings: { ...pool.options, password: pool.options.password } };
}

async function poolOf(connection: SqlConnection): Promise<Partial<PgPool> | undefined> {
  try {
    return (await connection.getNativeClient?.()) as Partial<PgPool> | undefined;
  } catch (error) {
    // A database that can't be reached says so with a code.
    if ((error as { code?: unknown }).code !== undefined) throw error;
    return undefined;
  }
}

async function poolOfKnex(client: KnexClient): Promise<Partial<PgPool> | undefined> {
  const { Client } = client.driver;
  if (Client === undefined) return undefined;
  const options = await (client.connectionConfigProvider?.() ?? client.connectionSettings);
  return { Client, ...(options !== undefined && { options }) };
}

/** The part of MikroORM 7's `CLIHelper` that lets Node.js read TypeScript; MikroORM 6 has it in the core's `ConfigurationLoader`. */
interface CommandHelper {
  getSettings(): { preferTs?: boolean; tsConfigPath?: string; tsLoader?: never };
  registerTypeScriptSupport(tsConfigPath?: string, tsLoader?: never): Promise<boolean>;
}

interface ConfigurationLoader {
  getSettings(): { useTsNode?: boolean; tsConfigPath?: string };
  registerTsNode(tsConfigPath?: string): boolean;
}

/** What MikroORM's own command does before it reads a configuration. */
export async function prepareForTypeScript(helper: object): Promise<void> {
  const { ConfigurationLoader } = (await import('@mikro-orm/core')) as { ConfigurationLoader?: ConfigurationLoader };
  if (ConfigurationLoader !== undefined) {
    const { useTsNode, tsConfigPath } = ConfigurationLoader.getSettings();
    if (useTsNode !== false && !ConfigurationLoader.registerTsNode(tsConfigPath)) {
      process.env['MIKRO_ORM_CLI_USE_TS_NODE'] ??= '0';
    }
    return;
  }
  const command = helper as CommandHelper;
  const { preferTs, tsConfigPath, tsLoader } = command.getSettings();
  if (preferTs !== false && !(await command.registerTypeScriptSupport(tsConfigPath, tsLoader))) {
    process.env['MIKRO_ORM_CLI_PREFER_TS'] ??= '0';
  }
}
