/** What each class has, for programs to change and for the oracle to compare: a second description, beside MikroORM's metadata. */
import { type AnyEntity, type EntityManager, helper, Reference, ScalarReference } from '@mikro-orm/core';
import {
  Account,
  Address,
  Animal,
  Badge,
  Car,
  Cat,
  Dog,
  Geo,
  hasTablePerType,
  Note,
  Person,
  Point,
  Settings,
  Team,
  Truck,
  Vehicle,
} from './entities.ts';
import { driver, onMysql } from '../support/driver.ts';

/** A value as text, equal where the values are; undefined where nothing is loaded. */
export type Text = string | undefined;
export type Row = Record<string, unknown>;

/** Kinds of values. A program's values are numbers: 0 is NULL, any other a value of the kind. */
interface Kind {
  of(n: number): unknown;
  sql(n: number): string;
  /** From what a column holds, as the database's client returns it. */
  read(stored: unknown): unknown;
  /** The user's, in place. */
  mutate?(value: never, n: number): void;
}

const quoted = (value: unknown): string => `'${String(value)}'`;
const parsed = (stored: unknown): unknown => (typeof stored === 'string' ? JSON.parse(stored) : stored);

const text: Kind = { of: (n) => `v${n}`, sql: (n) => quoted(`v${n}`), read: (stored) => stored };
const integer: Kind = { of: (n) => n, sql: String, read: (stored) => (stored === null ? null : Number(stored)) };
const prefsOf = (n: number) => ({ theme: `v${n}`, list: [`v${n}`] });
const json: Kind = {
  of: prefsOf,
  sql: (n) => quoted(JSON.stringify(prefsOf(n))),
  read: parsed,
  mutate: (value: { list: string[] }, n) => void value.list.push(`v${n}`),
};
const list: Kind = {
  of: (n) => [`v${n}`, 'x'],
  sql: (n) => quoted(driver === 'sqlite' || onMysql ? `v${n},x` : `{v${n},x}`),
  read: (stored) => (typeof stored === 'string' ? stored.replace(/^\{|\}$/g, '').split(',') : stored),
  mutate: (value: string[], n) => void value.push(`v${n}`),
};
const point: Kind = {
  of: (n) => new Point(n, n),
  sql: (n) => quoted(`${n}:${n}`),
  read: (stored) =>
    stored === null
      ? null
      : Object.fromEntries(
          String(stored)
            .split(':')
            .map((part, index) => ['xy'[index], Number(part)]),
        ),
};
const settingsOf = (n: number): Settings => Object.assign(new Settings(), { theme: `v${n}`, size: n });
const object: Kind = {
  of: settingsOf,
  sql: (n) => quoted(JSON.stringify(settingsOf(n))),
  read: parsed,
  mutate: (value: { theme: string }, n) => void (value.theme = `v${n}`),
};
const objects: Kind = {
  of: (n) => [settingsOf(n)],
  sql: (n) => quoted(JSON.stringify([settingsOf(n)])),
  read: parsed,
  mutate: (value: { theme: string }[], n) => void value.push(settingsOf(n) as never),
};

/** One column, or a property that follows from columns. */
export interface Field {
  /** As `populate` and `fields` take it: `address.geo.lat`. */
  readonly name: string;
  readonly column: string;
  readonly kind: Kind;
  readonly lazy: boolean;
  readonly nullable: boolean;
  /** Who sets it; by default the user. */
  readonly role: 'own' | 'version' | 'check' | 'formula' | 'stamp' | 'relation' | 'inverse';
  readonly target?: string;
}

const field = (name: string, kind: Kind, more: Partial<Field> = {}): Field => ({
  name,
  column: name.replaceAll('.', '_'),
  kind,
  lazy: false,
  nullable: true,
  role: 'own',
  ...more,
});
const lazy = { lazy: true };
const relation = (name: string, target: string): Field =>
  field(name, integer, { column: `${name}_id`, role: 'relation', target });

/** A collection: `mappedBy` is the related rows' column, or `pivot` the table with a column of each side. */
export interface Many {
  readonly name: string;
  readonly target: string;
  readonly by?: string;
  readonly pivot?: { readonly table: string; readonly own: string; readonly other: string };
}

export interface Model {
  readonly name: string;
  readonly class: new () => AnyEntity;
  /** The class whose identity map and single table it shares. */
  readonly root: string;
  /** Its own and its parents', the root's first. */
  readonly tables: readonly string[];
  /** The value of the column `type`. */
  readonly type?: string;
  readonly fields: readonly Field[];
  readonly many: readonly Many[];
}

const animal = [field('name', text), relation('owner', 'Person')];
const pivot = 'person_teams';

const ALL: readonly Model[] = [
  {
    name: 'Person',
    class: Person,
    root: 'Person',
    tables: ['person'],
    fields: [
      field('name', text, { nullable: false }),
      field('nickname', text),
      field('bio', text, lazy),
      field('motto', text, lazy),
      field('prefs', json),
      field('labels', list),
      field('mood', text),
      field('spot', point),
      field('shout', text, {
        column: 'name',
        role: 'formula',
        kind: { ...text, read: (stored) => String(stored).toUpperCase() },
      }),
      field('address.street', text),
      field('address.memo', text, lazy),
      field('address.geo.lat', integer),
      field('address.geo.zone', text),
      field('settings', object),
      field('history', objects),
      field('changedAt', integer, { column: 'changed_at', role: 'stamp' }),
      field('version', integer, { nullable: false, role: 'version' }),
      relation('boss', 'Person'),
      relation('home', 'Team'),
      relation('badge', 'Badge'),
    ],
    many: [
      { name: 'staff', target: 'Person', by: 'boss_id' },
      { name: 'notes', target: 'Note', by: 'owner_id' },
      { name: 'pets', target: 'Animal', by: 'owner_id' },
      { name: 'teams', target: 'Team', pivot: { table: pivot, own: 'person_id', other: 'team_id' } },
    ],
  },
  {
    name: 'Badge',
    class: Badge,
    root: 'Badge',
    tables: ['badge'],
    fields: [
      field('code', text),
      field('print', text, lazy),
      field('person', integer, { column: 'badge_id', role: 'inverse', target: 'Person' }),
    ],
    many: [],
  },
  {
    name: 'Note',
    class: Note,
    root: 'Note',
    tables: ['note'],
    fields: [field('text', text), field('draft', text, lazy), relation('owner', 'Person')],
    many: [],
  },
  {
    name: 'Team',
    class: Team,
    root: 'Team',
    tables: ['team'],
    fields: [field('title', text)],
    many: [{ name: 'members', target: 'Person', pivot: { table: pivot, own: 'team_id', other: 'person_id' } }],
  },
  {
    name: 'Account',
    class: Account,
    root: 'Account',
    tables: ['account'],
    fields: [field('iban', text, { role: 'check' }), field('balance', integer, { role: 'check' }), field('note', text)],
    many: [],
  },
  { name: 'Animal', class: Animal, root: 'Animal', tables: ['animal'], type: 'animal', fields: animal, many: [] },
  {
    name: 'Dog',
    class: Dog,
    root: 'Animal',
    tables: ['animal'],
    type: 'dog',
    fields: [...animal, field('bark', text), field('secret', text, lazy)],
    many: [],
  },
  {
    name: 'Cat',
    class: Cat,
    root: 'Animal',
    tables: ['animal'],
    type: 'cat',
    fields: [...animal, field('claws', integer)],
    many: [],
  },
];

const wheels = field('wheels', integer);
const TABLE_PER_TYPE: readonly Model[] = [
  { name: 'Vehicle', class: Vehicle, root: 'Vehicle', tables: ['vehicle'], fields: [wheels], many: [] },
  {
    name: 'Car',
    class: Car,
    root: 'Vehicle',
    tables: ['vehicle', 'car'],
    fields: [wheels, field('doors', integer), field('manual', text, lazy)],
    many: [],
  },
  {
    name: 'Truck',
    class: Truck,
    root: 'Vehicle',
    tables: ['vehicle', 'truck'],
    fields: [wheels, field('cargo', integer)],
    many: [],
  },
];

export const models = [...ALL, ...(hasTablePerType ? TABLE_PER_TYPE : [])];
const byName = new Map(models.map((model) => [model.name, model]));
export const modelOf = (name: string): Model => byName.get(name)!;
export const modelOfEntity = (entity: AnyEntity): Model => modelOf(entity.constructor.name);

/** True where a row of one class is one of another. */
export const isA = (model: Model, of: Model): boolean =>
  model.class === of.class || model.class.prototype instanceof of.class;

/** The value of a field as a text, or undefined where it is not loaded. */
export function valueOf(entity: AnyEntity, { name, role, lazy }: Field): Text {
  const [root, ...path] = name.split('.');
  let value: unknown = (entity as Row)[root!];
  if (value instanceof ScalarReference) {
    if (!value.isInitialized()) return undefined;
    value = value.unwrap();
  }
  for (const step of path) {
    // A lazy column of an embedded object that is null: whether it is loaded can't be seen.
    if (value == null) return (value === null && !lazy) || isUndefinedNull(entity, name) ? 'null' : undefined;
    value = (value as Row)[step];
  }
  if (value === undefined && isUndefinedNull(entity, name)) return 'null';
  if (value != null && (role === 'relation' || role === 'inverse')) value = idOf(targetOf(value as object));
  return value === undefined ? undefined : textOf(value);
}

/** Where MikroORM has undefined for NULL (`forceUndefined`): what is loaded tells it from what is not. */
export function isUndefinedNull(entity: AnyEntity, name: string): boolean {
  const { __config, __originalEntityData: stored, __loadedProperties: loaded } = helper(entity) as unknown as Loading;
  if (__config.get('forceUndefined') !== true || stored === undefined || !isLoaded(entity)) return false;
  return name.replaceAll('.', '_') in stored || loaded.has(name);
}
type Loading = {
  readonly __config: { get(name: string): unknown };
  readonly __originalEntityData?: Row;
  readonly __loadedProperties: ReadonlySet<string>;
};

/** Keys in order, so that texts are equal where the values are. */
export const textOf = (value: unknown): string => JSON.stringify(plain(value));

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, plain(part)]),
  );
}

export const targetOf = (value: object): AnyEntity =>
  (Reference.isReference(value) ? value.unwrap() : value) as AnyEntity;
export const idOf = (entity: AnyEntity): number => (entity as { id: number }).id;
export const isLoaded = (entity: AnyEntity): boolean => helper(entity).isInitialized();

/** The user sets a field to a value. */
export function set(
  em: EntityManager,
  entity: AnyEntity,
  { name, kind, role, target, nullable }: Field,
  n: number,
): void {
  const [root, ...path] = name.split('.') as [string, ...string[]];
  const isNull = n === 0 && nullable;
  if (role === 'relation' || role === 'inverse') {
    const isWrapped = name !== 'home';
    const value = isNull ? null : em.getReference(modelOf(target!).class, n as never, { wrapped: isWrapped } as never);
    (entity as Row)[root] = value;
    return;
  }
  const value = isNull ? null : kind.of(n);
  const held = (entity as Row)[root];
  if (held instanceof ScalarReference) held.set(value);
  else if (path.length === 0) (entity as Row)[root] = value;
  else setIn(entity as Row, root, path, value);
}

const EMBEDDED: Record<string, new () => object> = { address: Address, geo: Geo };

/** Makes the embedded objects on the way that are not there. */
function setIn(holder: Row, step: string, [next, ...path]: string[], value: unknown): void {
  if (next === undefined) holder[step] = value;
  else setIn((holder[step] ??= new EMBEDDED[step]!()) as Row, next, path, value);
}
