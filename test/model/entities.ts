/** Entities with a property of every kind, related in every way: what the programs of this suite work with. */
import { ArrayType, Collection, EntitySchema, type Ref, type ScalarReference, Type } from '@mikro-orm/core';
import { isMikroOrm6 } from '../../fixtures/majors.ts';

export class Point {
  readonly x: number;
  readonly y: number;
  constructor(x: number, y: number) {
    this.x = x;
    this.y = y;
  }
}

class PointType extends Type<Point | null, string | null> {
  override convertToDatabaseValue(value: Point | null): string | null {
    return value === null ? null : `${value.x}:${value.y}`;
  }
  override convertToJSValue(value: string | Point | null): Point | null {
    // MikroORM 6 hands out what its result cache holds as if it were stored.
    if (value === null || typeof value !== 'string') return value;
    const [x, y] = value.split(':').map(Number);
    return new Point(x!, y!);
  }
  override getColumnType(): string {
    return 'varchar(20)';
  }
}

/** What `onUpdate` writes: the programs set it, so that two runs of one write the same. */
export const clock = { now: 0 };

export class Geo {
  declare lat: number | null;
  declare zone: string | null;
}
export class Address {
  declare street: string | null;
  declare memo: string | null;
  declare geo: Geo | null;
}
export class Settings {
  declare theme: string | null;
  declare size: number | null;
}

export class Person {
  declare id: number;
  declare name: string;
  declare nickname: string | null;
  declare bio: string | null;
  declare motto: ScalarReference<string | null>;
  declare prefs: { theme: string; list: string[] } | null;
  declare labels: string[] | null;
  declare mood: string | null;
  declare spot: Point | null;
  declare shout: string;
  declare address: Address | null;
  declare settings: Settings | null;
  declare history: Settings[] | null;
  declare changedAt: number | null;
  declare version: number;
  declare boss: Ref<Person> | null;
  declare home: Team | null;
  declare badge: Ref<Badge> | null;
  staff = new Collection<Person>(this);
  notes = new Collection<Note>(this);
  pets = new Collection<Animal>(this);
  teams = new Collection<Team>(this);
}
export class Badge {
  declare id: number;
  declare code: string | null;
  declare print: string | null;
  declare person: Ref<Person> | null;
}
export class Note {
  declare id: number;
  declare text: string | null;
  declare draft: string | null;
  declare owner: Ref<Person> | null;
}
export class Team {
  declare id: number;
  declare title: string | null;
  members = new Collection<Person>(this);
}
export class Account {
  declare id: number;
  declare iban: string | null;
  declare balance: number | null;
  declare note: string | null;
}
export class Animal {
  declare id: number;
  declare name: string | null;
  declare owner: Ref<Person> | null;
}
export class Dog extends Animal {
  declare bark: string | null;
  declare secret: string | null;
}
export class Cat extends Animal {
  declare claws: number | null;
}
export class Vehicle {
  declare id: number;
  declare wheels: number | null;
}
export class Car extends Vehicle {
  declare doors: number | null;
  declare manual: string | null;
}
export class Truck extends Vehicle {
  declare cargo: number | null;
}

const id = { type: 'integer', primary: true } as const;
const text = { type: 'string', nullable: true } as const;
const number = { type: 'integer', nullable: true } as const;
const lazy = { type: 'text', nullable: true, lazy: true } as const;
const schema = (options: object): EntitySchema => new EntitySchema(options as never) as never;

const embeddables = [
  schema({ class: Geo, embeddable: true, properties: { lat: number, zone: text } }),
  schema({
    class: Address,
    embeddable: true,
    properties: { street: text, memo: lazy, geo: { kind: 'embedded', entity: () => Geo, nullable: true } },
  }),
  schema({ class: Settings, embeddable: true, properties: { theme: text, size: number } }),
];

const person = schema({
  class: Person,
  properties: {
    id,
    name: { type: 'string' },
    nickname: text,
    bio: lazy,
    motto: { ...lazy, ref: true },
    prefs: { type: 'json', nullable: true },
    labels: { type: ArrayType, nullable: true },
    mood: { enum: true, items: ['v1', 'v2', 'v3'], nullable: true },
    spot: { type: PointType, nullable: true },
    shout: { type: 'string', formula: (columns: unknown) => `upper(${columns}.name)`, persist: false },
    address: { kind: 'embedded', entity: () => Address, nullable: true },
    settings: { kind: 'embedded', entity: () => Settings, object: true, nullable: true },
    history: { kind: 'embedded', entity: () => Settings, array: true, nullable: true },
    changedAt: { ...number, onUpdate: () => clock.now },
    version: { type: 'integer', version: true },
    boss: { kind: 'm:1', entity: () => Person, ref: true, nullable: true },
    home: { kind: 'm:1', entity: () => Team, nullable: true },
    badge: { kind: '1:1', entity: () => Badge, owner: true, inversedBy: 'person', ref: true, nullable: true },
    staff: { kind: '1:m', entity: () => Person, mappedBy: 'boss' },
    notes: { kind: '1:m', entity: () => Note, mappedBy: 'owner' },
    pets: { kind: '1:m', entity: () => Animal, mappedBy: 'owner' },
    teams: { kind: 'm:n', entity: () => Team, owner: true, inversedBy: 'members' },
  },
});

const related = [
  schema({
    class: Badge,
    properties: {
      id,
      code: text,
      print: lazy,
      person: { kind: '1:1', entity: () => Person, mappedBy: 'badge', ref: true, nullable: true },
    },
  }),
  schema({
    class: Note,
    properties: {
      id,
      text,
      draft: lazy,
      owner: { kind: 'm:1', entity: () => Person, ref: true, nullable: true, inversedBy: 'notes' },
    },
  }),
  schema({
    class: Team,
    properties: { id, title: text, members: { kind: 'm:n', entity: () => Person, mappedBy: 'teams' } },
  }),
  schema({
    class: Account,
    properties: {
      id,
      iban: { ...text, concurrencyCheck: true },
      balance: { ...number, concurrencyCheck: true },
      note: text,
    },
  }),
];

/** MikroORM 6 finds subclasses of what has rows of its own by the name only. */
const animal = isMikroOrm6 ? 'Animal' : Animal;
const singleTable = [
  schema({
    class: Animal,
    discriminatorColumn: 'type',
    discriminatorValue: 'animal',
    properties: {
      id,
      name: text,
      owner: { kind: 'm:1', entity: () => Person, ref: true, nullable: true, inversedBy: 'pets' },
    },
  }),
  schema({ class: Dog, extends: animal, discriminatorValue: 'dog', properties: { bark: text, secret: lazy } }),
  schema({ class: Cat, extends: animal, discriminatorValue: 'cat', properties: { claws: number } }),
];

/** MikroORM 6 has none. */
const tablePerType = [
  schema({ class: Vehicle, inheritance: 'tpt', properties: { id, wheels: number } }),
  schema({ class: Car, extends: Vehicle, properties: { doors: number, manual: lazy } }),
  schema({ class: Truck, extends: Vehicle, properties: { cargo: number } }),
];

export const hasTablePerType = !isMikroOrm6;
/** Nor has it these. */
export const hasStreams = !isMikroOrm6;

export const entities = [...embeddables, person, ...related, ...singleTable, ...(hasTablePerType ? tablePerType : [])];
