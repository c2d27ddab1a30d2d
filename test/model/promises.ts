/** The oracle: docs/concepts/freshness.md, worked out from the rows as they are, what was loaded of them, and what the user has set. */
import { isDeepStrictEqual } from 'node:util';
import { type AnyEntity, type Collection, helper } from '@mikro-orm/core';
import { ByReferenceError, type Drift } from 'mikro-orm-byref';
import { selects } from '../../fixtures/orm.ts';
import { Asked, groupOf, keyOf, keyOfView } from './asked.ts';
import { idOf, isA, isLoaded, type Model, modelOf, type Row, type Text, textOf } from './fields.ts';
import { Items, type Role } from './items.ts';
import { isLeftOut } from './left-out.ts';
import { revive, type ReviveOptions, type Told } from './revive.ts';
import {
  distinct,
  driftsOf,
  isOutdated,
  refusalIn,
  refusalOf,
  tellingOf,
  type Token,
  toldOf,
  versionOf,
} from './versions.ts';
import { type Held, isTaken, skips } from './row-locks.ts';
import type { Rows, View, Views, World } from './world.ts';

/** Revives a list of tokens, and holds what comes of it against the promises. */
export async function reviveAsPromised(
  world: World,
  tokens: readonly Token[],
  options: ReviveOptions,
  held?: Held,
): Promise<unknown> {
  const [before, changed] = [world.views(), world.diffs()];
  const promise = new Promise_(world, before, await world.rows(), tokens, options, held);
  let outcome: unknown;
  const told: Told = { drifts: [], asked: [] };
  const statements = await world.sent(async () => (outcome = await revive(world, tokens, options, told)));
  const elsewhere = world.database.statements.filter((statement) => statement.includes('(via read connection'));
  expectEqual('statements that a replica gets', elsewhere, []);
  promise.checkAsked(told.asked);
  if (promise.isPhantom(outcome)) return outcome;
  promise.checkOutcome(outcome, told.drifts);
  promise.checkSelects(selects(statements), statements);
  promise.checkViews(world.views());
  promise.checkChanges(changed, world.diffs());
  promise.settle();
  return outcome;
}

/** A row that tokens name, and as one of which class. */
interface Named {
  readonly model: Model;
  readonly id: number;
  readonly key: string;
}

class Promise_ {
  readonly #world: World;
  readonly #before: Views;
  readonly #rows: Rows;
  readonly #tokens: readonly Token[];
  readonly #options: ReviveOptions;
  readonly #changes = new Map<AnyEntity, ReadonlySet<string>>();
  /** By `root id`. */
  readonly #managed = new Map<string, View>();
  readonly #roles = new Map<string, Role>();
  /** Collections that `populate` names: by `root id name`, of rows that are read. */
  readonly #loaded = new Set<string>();
  /** The same, of rows that `populate` meets only where MikroORM follows what the user has set. */
  readonly #perhaps = new Set<string>();
  /** To-one relations that `populate` names: by `root id name`. */
  readonly #followed = new Set<string>();
  readonly #refused: boolean;
  /** The rows of the payload that can't be locked. */
  readonly #taken: readonly Token[];
  readonly #items: Items;
  /** Undefined where nobody is asked. */
  readonly #asked: Asked | undefined;

  constructor(
    world: World,
    before: Views,
    rows: Rows,
    tokens: readonly Token[],
    options: ReviveOptions,
    held: Held | undefined,
  ) {
    [this.#world, this.#before, this.#rows, this.#tokens, this.#options] = [world, before, rows, tokens, options];
    for (const view of before.values()) {
      this.#changes.set(view.entity, world.changes(view));
      this.#managed.set(keyOfView(view), view);
    }
    for (const view of before.values()) this.#changes.set(view.entity, this.#withoutEmpty(view));
    const { authorize } = options;
    if (authorize !== undefined)
      this.#asked = new Asked(rows, authorize, this.#distinct(), (model) => this.#pathsOf(model));
    this.#items = new Items({
      rows,
      before,
      links: world.links,
      unflushed: options.unflushed,
      changes: this.#changes,
      managed: this.#managed,
      roles: this.#roles,
      loaded: this.#loaded,
      perhaps: this.#perhaps,
      isKept: (key) => this.#isKept(key),
      isRemoved: this.#isRemoved,
      admits: this.#admits,
    });
    this.#refused = options.unflushed === 'throw' && options.freshness !== 'lazy' && this.#unflushed().length > 0;
    if (!this.#refused && options.freshness !== 'lazy') this.#assignRoles();
    this.#taken = distinct(this.#refused ? [] : tokens.filter(([name, id]) => this.#isTaken(held, modelOf(name), id)));
    if (this.#taken.length > 0) this.#assignNoRole();
  }

  /** Whether a query asks for a row that somebody else holds locked. */
  #isTaken(held: Held | undefined, model: Model, id: number): boolean {
    const { lockMode } = this.#options;
    if (this.#isRemoved(this.#managed.get(keyOf(model.root, id)))) return false;
    return isTaken(held, lockMode, model.root, id) && this.#isQueried(model, id);
  }

  /** Whether there is a row that the query for it finds. */
  #isQueried(model: Model, id: number): boolean {
    return isARow(this.#rows.find(model.root, id)?.model, modelOf(groupOf(model)));
  }

  /** Which rows were read before one was found locked is not promised. */
  #assignNoRole(): void {
    for (const key of this.#roles.keys()) this.#roles.set(key, 'met');
    for (const key of this.#loaded) this.#perhaps.add(key);
    this.#loaded.clear();
  }

  /** What the user has set an inverse side to is a change where a foreign key has changed with it. */
  #withoutEmpty({ entity, model, fields }: View): ReadonlySet<string> {
    const isEmpty = (name: string): boolean => {
      const isNull = this.#world.base(entity, name) === undefined && fields.get(name) === 'null';
      // It was undefined as all was that was selected of the object: see `isInNothing`.
      if (isNull && name.includes('.')) {
        const stored = (column: string): unknown => storedOf(entity)?.[column.replaceAll('.', '_')];
        const [root] = name.split('.') as [string];
        const isLazyWritten = model.fields.some(
          (each) => each.lazy && each.name.startsWith(`${root}.`) && stored(each.name) === undefined,
        );
        return stored(name) === null && !((entity as Row)[root] === null && isLazyWritten);
      }
      if (isNull && isUndefinedForNull(name)) return true;
      const field = model.fields.find((candidate) => candidate.name === name);
      if (field?.role !== 'inverse') return false;
      const holders = [...this.#before.values()].filter((holder) => holder.model.root === field.target);
      return !holders.some((holder) =>
        holder.model.fields.some(
          ({ name: key, column }) =>
            column === field.column &&
            this.#changes.get(holder.entity)!.has(key) &&
            [holder.fields.get(key), this.#world.base(holder.entity, key)].includes(textOf(idOf(entity))),
        ),
      );
    };
    return new Set([...this.#changes.get(entity)!].filter((name) => !isEmpty(name)));
  }

  /** The rows of the payload that have changes. */
  #unflushed(): readonly string[] {
    return [...new Set(this.#admitted().map(({ key }) => key))].flatMap((key) => {
      const view = this.#managed.get(key);
      return view !== undefined && !this.#isRemoved(view) && this.#writes(view) ? [key] : [];
    });
  }

  #isRemoved = (view: View | undefined): boolean => view !== undefined && this.#world.removed.has(view.entity);

  /** Whether a flush writes something of a row: columns, or what it has of a pivot table. */
  #writes(view: View): boolean {
    const isNew = this.#world.created.has(`${view.model.name} ${idOf(view.entity)}`);
    return !isNew && this.#changed(view, true).length > 0;
  }

  /** The columns of an entity that the user has changed, and collections of m:n. */
  #changed({ entity, model, fields }: View, withCollections: boolean): string[] {
    return [...this.#changes.get(entity)!].filter((name) => {
      const field = model.fields.find((candidate) => candidate.name === name);
      // What the user has left undefined in an embedded object, MikroORM does not write.
      const isWritten = !name.includes('.') || fields.get(name) !== undefined;
      if (field !== undefined) return field.role !== 'inverse' && isWritten;
      return withCollections && model.many.find((many) => many.name === name)?.pivot !== undefined;
    });
  }

  #distinct(): Named[] {
    const rows = this.#tokens.map(([name, id]) => ({ model: modelOf(name), id, key: keyOf(modelOf(name).root, id) }));
    return [...new Map(rows.map((row) => [`${row.model.name} ${row.id}`, row])).values()];
  }

  /** Without those that nobody has let in. */
  #admitted(): Named[] {
    return this.#distinct().filter(({ model, id }) => !this.#isTurnedAway(model, id));
  }

  #isTurnedAway = (model: Model, id: number): boolean => this.#asked?.admitsNamed(model, id) === false;

  #admits = (root: string, id: number): boolean => this.#asked?.admits(root, id) ?? true;

  /** Loaded, and nothing is missing that a query would bring. */
  #isWhole({ entity, model, fields }: View): boolean {
    if (!isLoaded(entity)) return false;
    // What pointed to a row that was removed here is undefined, and not missing.
    const isCut = (role: string): boolean => role === 'relation' && this.#world.hasRemoved;
    return model.fields.every(
      ({ name, lazy, role }) =>
        lazy ||
        (role === 'inverse' && !this.#world.readsInverses) ||
        fields.get(name) !== undefined ||
        isCut(role) ||
        this.#changes.get(entity)!.has(name) ||
        isUndefinedForNull(name) ||
        name.includes('.'),
    );
  }

  #isKept(key: string): boolean {
    const view = this.#managed.get(key);
    const isKept = this.#options.freshness === 'managed' && view !== undefined && this.#isWhole(view);
    return isKept && !isOutdated(view, this.#tokens);
  }

  #assignRoles(): void {
    for (const { model, id, key } of this.#admitted()) {
      const found = this.#rows.find(model.root, id);
      const view = this.#managed.get(key);
      if (this.#isRemoved(view)) continue;
      const isKept = this.#isKept(key);
      if (!isKept && (found === undefined || !isA(found.model, modelOf(groupOf(model))))) continue;
      // What is to be locked, and is not there, is missing.
      if (isKept && this.#options.lockMode !== undefined && found === undefined) continue;
      if (!isKept) this.#roles.set(key, 'read');
      for (const path of this.#pathsOf(model)) this.#walk(model.root, id, path.split('.'), !isKept);
    }
  }

  /** A base class's entry serves the subclasses that have none. */
  #pathsOf({ name, root }: Model): readonly string[] {
    const { populate } = this.#options;
    return populate?.[name] ?? populate?.[root] ?? [];
  }

  #walk(root: string, id: number, [name, ...path]: readonly string[], isRead: boolean, isSure = true): void {
    if (name === undefined) return;
    const key = keyOf(root, id);
    const view = this.#managed.get(key);
    const found = this.#rows.find(root, id);
    const model = found?.model ?? view!.model;
    const many = model.many.find((candidate) => candidate.name === name);
    const target = modelOf((many ?? model.fields.find((field) => field.name === name)!).target!);
    const stored =
      found === undefined
        ? []
        : many === undefined
          ? [JSON.parse(this.#rows.valueOf(found, name)!) as number]
          : this.#rows.items(id, many);
    const held: unknown = JSON.parse((view?.fields.get(name) ?? view?.many.get(name) ?? 'null') as string);
    const mine = [[held].flat().filter((item) => item !== null), this.#items.putInto(id, many)].flat() as number[];
    const isMine = view !== undefined && this.#changes.get(view.entity)!.has(name);
    if (many !== undefined) (isSure ? this.#loaded : this.#perhaps).add(`${key} ${name}`);
    else if (view !== undefined) this.#followed.add(`${key} ${name}`);
    for (const related of new Set([...stored, ...mine])) {
      if (related === null) continue;
      if (!this.#admits(target.root, related)) {
        // MikroORM follows it where it is here already.
        if (this.#managed.has(keyOf(target.root, related))) this.#walk(target.root, related, path, false, false);
        continue;
      }
      const isMetByAll = isRead && stored.includes(related) && !isMine;
      const relatedKey = keyOf(target.root, related);
      const isRefreshed = isMetByAll && !this.#isKept(relatedKey) && !this.#isRemoved(this.#managed.get(relatedKey));
      if (isRefreshed) this.#roles.set(relatedKey, 'read');
      else if (!this.#roles.has(relatedKey)) this.#roles.set(relatedKey, 'met');
      // What is kept is followed by what it holds.
      const isHeld = isRead || mine.includes(related) || (many !== undefined && view?.many.get(name) === undefined);
      const isOfOthers = many !== undefined && this.#items.isOfOthers(related, id, many);
      const isIn = stored.includes(related) && isHeld && !isMine && !isOfOthers;
      this.#walk(target.root, related, path, isRefreshed, isSure && isIn);
    }
  }

  /** E_UNFLUSHED of collections that are not loaded, into which the user has put something: that may be there already. */
  #isLinked({ tokens = [] }: ByReferenceError): boolean {
    const expected = this.#unflushed();
    const isLinked = (model: string, id: number): boolean =>
      this.#world.links.some((link) => link[`${model.toLowerCase()}_id`] === id);
    const others = tokens.filter(
      ({ model, primaryKey }) => !expected.includes(keyOf(modelOf(model).root, Number(primaryKey))),
    );
    return others.length > 0 && others.every(({ model, primaryKey }) => isLinked(model, Number(primaryKey)));
  }

  /** E_UNFLUSHED of what the user has not changed: see `LEFT_OUT`. */
  isPhantom(outcome: unknown): boolean {
    const isUnflushed = outcome instanceof ByReferenceError && outcome.code === 'E_UNFLUSHED';
    return isUnflushed && this.#isLinked(outcome);
  }

  /** Same row, same object; order and duplicates kept; nothing where there is no row. */
  checkOutcome(outcome: unknown, drifts: readonly Drift[]): void {
    const { missing = 'throw', freshness = 'refresh', lockMode, drift } = this.#options;
    if (this.#refused) {
      const keys = ((outcome as ByReferenceError).tokens ?? []).map(({ model, primaryKey }) =>
        keyOf(modelOf(model).root, Number(primaryKey)),
      );
      const told = outcome instanceof ByReferenceError ? outcome.code : 'no error';
      return expectEqual('the error', [told, keys.sort()], ['E_UNFLUSHED', [...this.#unflushed()].sort()]);
    }
    if (this.#taken.length > 0) return this.#checkLocked(outcome);
    const expected = this.#tokens.map(([name, id]): AnyEntity | null | string => {
      const model = modelOf(name);
      const key = keyOf(model.root, id);
      const view = this.#managed.get(key);
      if (this.#isRemoved(view) || this.#isTurnedAway(model, id)) return null;
      if (freshness === 'lazy') return view?.entity ?? key;
      const isThere = isARow(this.#rows.find(model.root, id)?.model, model);
      if (this.#isKept(key) && (lockMode === undefined || isThere))
        return isA(view!.model, model) ? view!.entity : null;
      return isThere ? (view?.entity ?? key) : null;
    });
    const isMissing = expected.includes(null);
    if (missing === 'throw' && isMissing) {
      const absent = this.#tokens.filter((_, index) => expected[index] === null);
      return expectEqual('the error', refusalIn(outcome), ['E_ENTITY_NOT_FOUND', distinct(absent)]);
    }
    const expectedDrifts = driftsOf(this.#tokens, ([name, id]) => this.#versionRead(name, id));
    const refusal = refusalOf(expectedDrifts, drift);
    if (refusal !== undefined) return expectEqual('the error', refusalIn(outcome), refusal);
    expectEqual('the drifts', toldOf(drifts), drift === 'tell' ? tellingOf(expectedDrifts) : []);
    if (outcome instanceof ByReferenceError) throw new Error(`unexpected ${outcome.code}`, { cause: outcome });
    const wanted = missing === 'omit' ? expected.filter((entity) => entity !== null) : expected;
    const got = outcome as (AnyEntity | null)[];
    expectEqual('the length', got.length, wanted.length);
    wanted.forEach((entity, index) => {
      const it = got[index]!;
      if (typeof entity !== 'string') {
        if (it !== entity) throw new Error(`$[${index}] is another object than the one that is managed, or none`);
        return;
      }
      if (it === null) throw new Error(`$[${index}] is null`);
      const [root, id] = entity.split(' ');
      if (it !== this.#world.managed(root!, Number(id))) throw new Error(`$[${index}] is not the managed object`);
    });
  }

  /** SKIP LOCKED tells the rows that are locked, of one table; others those that were asked for with them. */
  #checkLocked(outcome: unknown): void {
    if (!(outcome instanceof ByReferenceError) || outcome.code !== 'E_LOCKED')
      throw new Error('no E_LOCKED', { cause: outcome });
    const told = outcome.tokens!.map(({ model, primaryKey }) => keyOf(modelOf(model).root, Number(primaryKey)));
    const taken = this.#taken.map(([name, id]) => keyOf(modelOf(name).root, id));
    const areTaken = skips(this.#options.lockMode) ? told.every((key) => taken.includes(key)) : true;
    if (!areTaken || !told.some((key) => taken.includes(key)))
      throw new Error(`E_LOCKED names ${told.join(', ')}; locked are ${taken.join(', ')}`);
  }

  /** The version that a token is held against: the row's, or that of an entity which is kept; undefined where none is read. */
  #versionRead(name: string, id: number): number | undefined {
    const key = keyOf(modelOf(name).root, id);
    const view = this.#managed.get(key);
    const { freshness, lockMode } = this.#options;
    if (freshness === 'lazy' || this.#isRemoved(view) || this.#isTurnedAway(modelOf(name), id)) return undefined;
    const current = versionOf(this.#rows, name, id);
    if (lockMode !== undefined || !this.#isKept(key)) return current;
    return current === undefined ? undefined : (JSON.parse(view!.fields.get('version')!) as number);
  }

  /** Each row once, as the database has it. */
  checkAsked(asked: readonly View[]): void {
    this.#asked?.check(
      asked,
      (entity, { name, role, lazy }, now) =>
        lazy ||
        (role === 'inverse' && !this.#world.readsInverses) ||
        (now === 'null' && (isInNothing(entity, name) || isUndefinedForNull(name))),
    );
  }

  checkSelects(sent: readonly string[], all: readonly string[]): void {
    const { freshness, lockMode, populate } = this.#options;
    const writes = all.filter((statement) => /^(?:insert|update|delete)/.test(statement));
    expectEqual('statements that write', writes, []);
    if (freshness === 'lazy') return expectEqual('SELECTs', sent, []);
    const beside = this.#asked === undefined ? [] : this.#distinct().map(({ model }) => `ask ${groupOf(model)}`);
    const asked = (this.#refused ? [] : this.#admitted()).flatMap(({ model, id, key }) => {
      if (this.#isRemoved(this.#managed.get(key))) return [];
      const group = groupOf(model);
      const [query, others] = this.#isKept(key) ? [`lock ${group}`, []] : [`load ${group}`, this.#apart(model, key)];
      if (lockMode === undefined && query.startsWith('lock')) return [];
      const isShort = skips(lockMode) && !this.#isQueried(model, id);
      return [query, ...others, ...(isShort ? [`look ${query}`] : [])];
    });
    if (populate !== undefined) return;
    const queries = new Set([...beside, ...asked]);
    if (this.#taken.length > 0) return;
    // Which of two queries at once is over last decides whether what the other one has brought along is read again.
    const perhaps = [...queries].filter(
      (query) => query.startsWith('lazy') && queries.has(query.replace('lazy', 'load')),
    );
    if (sent.length > queries.size || sent.length < queries.size - perhaps.length)
      throw new Error(`${sent.length} SELECTs in place of ${queries.size}:\n${sent.join('\n')}`);
  }

  /** What a query by a base class of tables of their own can't read along: loaded lazy properties of a subclass. */
  #apart(model: Model, key: string): string[] {
    const view = this.#managed.get(key);
    if (view === undefined || view.model === model || !isA(view.model, model) || model.type !== undefined) return [];
    const found = this.#rows.find(model.root, idOf(view.entity));
    if (found?.model !== view.model) return [];
    const changes = this.#options.unflushed === 'overwrite' ? new Set() : this.#changes.get(view.entity)!;
    const isLoadedLazy = view.model.fields.some(
      ({ name, lazy }) => lazy && view.fields.get(name) !== undefined && !changes.has(name),
    );
    return isLoadedLazy ? [`lazy ${view.model.name}`] : [];
  }

  checkViews(after: Views): void {
    for (const view of after.values()) {
      const key = keyOf(view.model.root, idOf(view.entity));
      const role = this.#roles.get(key);
      const old = this.#before.get(view.entity);
      if (role === undefined && old === undefined && !isLoaded(view.entity)) continue;
      this.#checkClass(view, old, role);
      const hasNone = role === 'read' && this.#world.em.config.get('forceUndefined') === true;
      for (const field of view.model.fields) {
        const was = old?.fields.get(field.name);
        const is = view.fields.get(field.name);
        const allowed = this.#allowed(view, field, was, role);
        if (!allowed.includes(is)) {
          throw new Error(
            `${key} ${field.name} is ${is}, not ${allowed.join(' or ')} (${role ?? 'not named'}; was ${was})`,
          );
        }
        const isMine = this.#changes.get(view.entity)?.has(field.name) === true;
        if (hasNone && field.role === 'own' && !isMine && (view.entity as Row)[field.name] === null)
          throw new Error(`${key} ${field.name} is null, and not undefined`);
      }
      for (const many of view.model.many) {
        const was = old?.many.get(many.name);
        const is = view.many.get(many.name);
        const allowed = this.#items.allowed(view, many, was, role);
        if (!allowed.includes(is)) {
          throw new Error(
            `${key} ${many.name} has ${is}, not ${allowed.join(' or ')} (${role ?? 'not named'}; had ${was})`,
          );
        }
      }
    }
  }

  /** What is read is of its row's class; what is not stays of its own. */
  #checkClass({ model, entity }: View, old: View | undefined, role: Role | undefined): void {
    const current = this.#rows.find(model.root, idOf(entity))?.model;
    const classes = role === undefined ? [old?.model] : role === 'read' ? [current] : [old?.model, current];
    const names = classes.flatMap((each) => each?.name ?? []);
    if (!names.includes(model.name)) throw new Error(`${model.root} ${idOf(entity)} is a ${model.name}, not ${names}`);
    this.#world.hasReclassed ||= old !== undefined && old.model !== model;
  }

  /** Nothing counts as changed that did not before, so that no flush writes it. */
  checkChanges(before: ReturnType<World['diffs']>, after: ReturnType<World['diffs']>): void {
    for (const [entity, names] of after) {
      const key = `${entity.constructor.name} ${idOf(entity)}`;
      for (const name of names.keys()) {
        if (before.get(entity)?.has(name) !== true) throw new Error(`${key} ${name} counts as changed`);
      }
    }
  }

  #allowed(view: View, { name, role, lazy }: Model['fields'][number], was: Text, entityRole: Role | undefined): Text[] {
    const found = this.#rows.find(view.model.root, idOf(view.entity));
    const now = found === undefined ? undefined : this.#rows.valueOf(found, name);
    if (entityRole === undefined || found === undefined) {
      // MikroORM tells the other side of a 1:1.
      const isMine = this.#changes.get(view.entity)?.has(name) === true && this.#options.unflushed !== 'overwrite';
      const isTold = (role === 'inverse' || name === 'badge') && !isMine;
      if (this.#isDangling(view, name, was)) return [was, 'null'];
      return isTold ? [was, now ?? 'null', 'null', ...(isLoaded(view.entity) ? [] : [undefined])] : [was];
    }
    const old = this.#before.get(view.entity);
    if (entityRole === 'met') {
      const isKept = this.#options.freshness === 'managed' && old !== undefined && this.#isKept(keyOfView(view));
      if (role === 'inverse' || name === 'badge') return [was, now, 'null'];
      if (isKept && this.#isDangling(view, name, was)) return [was, 'null'];
      return isKept && !isUndefinedForNull(name) && !this.#world.hasRemoved ? [was] : [was, now];
    }
    const spares = this.#options.unflushed !== 'overwrite' && old !== undefined;
    if (role === 'relation' && was === undefined && this.#world.hasRemoved) return [was, now];
    if (spares) {
      if (this.#isBelowNull(old, name)) return was === undefined ? [was, now] : [was];
      // What the user has left undefined, MikroORM does not write.
      if (this.#changes.get(view.entity)!.has(name)) return was === undefined ? [was, now] : [was];
      if (role === 'inverse' && this.#followsAnother(view, name, now)) return [was, 'null'];
      const isBase = role === 'version' || role === 'check';
      if (isBase && this.#world.hasRemoved) return [was, now];
      if (isBase && this.#changed(old, false).length > 0) return was === undefined ? [was, now] : [was];
    }
    if (role === 'inverse' && (!this.#world.readsInverses || this.#isToRefused(view, name, now)))
      return [was, now, 'null', undefined];
    if (lazy && was === undefined) return this.#isLoadedElsewhere(view.model, name) ? [was, now] : [was];
    return now === 'null' && (isInNothing(view.entity, name) || isUndefinedForNull(name)) ? [undefined, now] : [now];
  }

  #isToRefused({ model }: View, name: string, now: Text): boolean {
    const { target } = model.fields.find((field) => field.name === name)!;
    const id = JSON.parse(now ?? 'null') as number | null;
    return id !== null && !this.#admits(target!, id);
  }

  /** An inverse side whose row is, by what the user has changed, another one's. */
  #followsAnother(view: View, name: string, now: Text): boolean {
    const { target, column } = view.model.fields.find((field) => field.name === name)!;
    const holder = this.#managed.get(keyOf(modelOf(target!).root, JSON.parse(now ?? 'null') as number));
    const key = holder?.model.fields.find((field) => field.column === column && field.role === 'relation');
    if (key === undefined || !this.#changes.get(holder!.entity)!.has(key.name)) return false;
    return holder!.fields.get(key.name) !== textOf(idOf(view.entity));
  }

  /** A relation of a row that is kept, which `populate` follows to a row that is gone. */
  #isDangling(view: View, name: string, was: Text): boolean {
    if (was === undefined || !this.#followed.has(`${keyOfView(view)} ${name}`)) return false;
    if (this.#changes.get(view.entity)!.has(name)) return false;
    const { target } = view.model.fields.find((field) => field.name === name)!;
    return this.#rows.find(modelOf(target!).root, JSON.parse(was) as number) === undefined;
  }

  /** In an embedded object that the user has set to null. */
  #isBelowNull({ entity, model }: View, name: string): boolean {
    const changes = this.#changes.get(entity)!;
    const steps = name.split('.');
    return steps.slice(1).some((_, index) => {
      const path = steps.slice(0, index + 1);
      const isNull = path.reduce<unknown>((value, step) => (value as Row | null)?.[step], entity) == null;
      return (
        isNull && model.fields.some((field) => changes.has(field.name) && field.name.startsWith(`${path.join('.')}.`))
      );
    });
  }

  /** A lazy property that another row of the same table has loaded. */
  #isLoadedElsewhere({ root }: Model, name: string): boolean {
    return [...this.#before.values()].some(
      ({ model, fields }) => model.root === root && fields.get(name) !== undefined,
    );
  }

  /** What the revive has overwritten is no longer the user's. */
  settle(): void {
    if (this.#refused || this.#options.unflushed !== 'overwrite') return;
    const changed = this.#world.diffs();
    for (const [key, role] of this.#roles) {
      const view = this.#managed.get(key);
      if (view === undefined) continue;
      if (role === 'read') this.#world.forget(view.entity);
      else this.#world.forgetAllBut(view.entity, changed.get(view.entity)?.keys() ?? []);
    }
  }
}

/** MikroORM leaves an embedded object undefined where all that it has selected of it is NULL, and something lazy is not. */
const isInNothing = (entity: AnyEntity, name: string): boolean =>
  name.includes('.') && (entity as Row)[name.split('.')[0]!] == null;

const storedOf = (entity: AnyEntity): Row | undefined => helper(entity).__originalEntityData as Row | undefined;

const isUndefinedForNull = (name: string): boolean =>
  name === 'history' && isLeftOut('NULL of an embedded array in MikroORM 6');

const isARow = (found: Model | undefined, model: Model): boolean => found !== undefined && isA(found, model);

export function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(`${what}: ${JSON.stringify(actual)} in place of ${JSON.stringify(expected)}`);
  }
}

export type { Collection, Row };
