/** Applications made of a description, so that a test can change one and see what becomes of what is stored. */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { EntitySchema } from '@mikro-orm/core';
import { Expose, Type } from 'class-transformer';
import { ByReference, EntitySerializer, type JsonObject } from 'mikro-orm-byref';
import { ByValue, defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import { inlineEngine, type NewJob, Tasks, type Upgrade } from 'mikro-orm-byref/tasks';
import { offlineOrm } from './offline-orm.ts';

type PlainClass = new () => object;

export interface Spec {
  readonly models: { readonly [name: string]: ModelSpec };
  readonly values: { readonly [name: string]: ShapeSpec };
  readonly tasks: { readonly [name: string]: TaskSpec };
  /** What jobs are signed for. */
  readonly purpose?: string;
}

export interface ModelSpec {
  readonly aliases: readonly string[];
  readonly key: readonly KeyType[];
  /** Its properties are declared in the reverse order. */
  readonly isTurned?: boolean;
  readonly version?: 'integer' | 'date';
}

export interface TaskSpec {
  readonly queue: string;
  /** The newest first; without any it takes what there is, and is sent all models and values. */
  readonly shapes: readonly ShapeSpec[];
  readonly only?: readonly string[];
}

export interface ShapeSpec {
  readonly [key: string]: PropertySpec;
}

export interface PropertySpec {
  readonly is: 'any' | 'text' | 'reference' | 'object' | 'value';
  readonly models?: readonly string[];
  readonly value?: string;
  readonly shape?: ShapeSpec;
  readonly each?: true | 'set' | 'map';
  readonly optional?: true;
  readonly nullable?: true;
}

/** By the column's type, what properties of it hold, the ends of its range among them. */
export const KEYS = {
  smallint: { type: 'number', values: [-(2 ** 15), 2 ** 15 - 1] },
  int: { type: 'number', values: [-(2 ** 31), 7, 2 ** 31 - 1] },
  bigint: { type: 'string', values: ['-9223372036854775808', '9223372036854775807', '7'] },
  oid: { type: 'number', values: [0, 2 ** 32 - 1] },
  float8: { type: 'number', values: [0.5, 1e300] },
  real: { type: 'number', values: [0.1, -7] },
  numeric: { type: 'string', values: ['7.50', '1234567890123'] },
  'numeric(10,2)': { type: 'string', values: ['-7.50', '3', '12345678.25'] },
  'numeric(9,1)': { type: 'string', values: ['-7.5', '3', '12345678.5'] },
  'numeric(6,2)': { type: 'string', values: ['9999.75', '7.50'] },
  uuid: { type: 'string', values: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'] },
  text: { type: 'string', values: ['any text', 'ž', '7', 'a text of more than twenty characters'] },
  'varchar(20)': { type: 'string', values: ['any text', 'ž', 'of twenty characters'] },
  'varchar(5)': { type: 'string', values: ['short', 'ž'] },
  'char(5)': { type: 'string', values: ['short', 'ž'] },
  boolean: { type: 'boolean', values: [true, false] },
  date: { type: 'string', values: ['2026-01-02'] },
  timestamptz: { type: 'Date', values: [new Date('2026-01-02T03:04:05.678Z')] },
  'timestamptz(0)': { type: 'Date', values: [new Date('2026-01-02T03:04:05Z')] },
  time: { type: 'string', values: ['10:20:30.5'] },
  'time(0)': { type: 'string', values: ['10:20:30'] },
  inet: { type: 'string', values: ['10.1.2.3/8', '10.1.2.3', '2001:db8::1'] },
  cidr: { type: 'string', values: ['10.0.0.0/8'] },
  macaddr: { type: 'string', values: ['08:00:2b:01:02:03'] },
  macaddr8: { type: 'string', values: ['08:00:2b:01:02:03:04:05'] },
  varbit: { type: 'string', values: ['0101', '', '010101010101010101010101'] },
  'bit(3)': { type: 'string', values: ['010'] },
} as const;

export type KeyType = keyof typeof KEYS;

const SECRET = 'a secret of thirty-two bytes, ok';

/** A program of its own, over PostgreSQL that it never asks: rows come back as references. */
export class Program {
  readonly serializer: EntitySerializer;
  readonly tasks: readonly [Tasks];
  readonly #spec: Spec;
  readonly #entities: ReadonlyMap<string, PlainClass>;
  readonly #values: ReadonlyMap<string, PlainClass>;
  readonly #engine = inlineEngine();
  readonly #sent: NewJob[] = [];

  constructor(spec: Spec) {
    this.#spec = spec;
    this.#entities = new Map(Object.entries(spec.models).map(([name, model]) => [name, entityClass(name, model)]));
    const orm = offlineOrm(Object.entries(spec.models).map(([name, model]) => this.#schema(name, model)));
    this.#values = new Map(Object.keys(spec.values).map((name) => [name, namedClass(name)]));
    for (const [name, cls] of this.#values) {
      this.#declare(cls, spec.values[name]!);
      ByValue(name)(cls);
    }
    this.serializer = new EntitySerializer(orm, {
      freshness: 'lazy',
      versions: true,
      signingKeys: [SECRET],
      values: [...this.#values.values()],
    });
    const enqueue = this.#engine.enqueue.bind(this.#engine);
    this.#engine.enqueue = (jobs, em) => {
      this.#sent.push(...jobs);
      return enqueue(jobs, em);
    };
    const options = spec.purpose === undefined ? {} : { signed: { purpose: spec.purpose } };
    const tasks = new Tasks(this.serializer, this.#engine, { ...options, onError: () => undefined });
    for (const [name, task] of Object.entries(spec.tasks)) this.#define(tasks, name, task);
    this.tasks = [tasks];
  }

  #schema(name: string, { key, isTurned, version }: ModelSpec): EntitySchema {
    const parts = key.map((columnType, part) => [
      `key${part}`,
      { type: KEYS[columnType].type, columnType, primary: true, autoincrement: false },
    ]);
    const dated = version && { type: version === 'date' ? 'Date' : 'integer', version: true };
    return new EntitySchema({
      class: this.#entities.get(name)!,
      tableName: name.toLowerCase(),
      properties: { ...Object.fromEntries(isTurned ? parts.toReversed() : parts), ...(dated && { version: dated }) },
    } as never);
  }

  #define(tasks: Tasks, name: string, { queue, shapes, only }: TaskSpec): void {
    const classes = shapes.map((shape, age) => this.#declare(namedClass(`${name}${age}`), shape));
    const [as, ...older] = classes;
    const upgrade = older.map((from): Upgrade<object, object> => ({ from, to: () => new as!() }));
    tasks.define(name, async () => undefined, {
      queue,
      retries: { limit: 0 },
      ...(as !== undefined && { as }),
      ...(upgrade.length > 0 && { upgrade }),
      ...(only !== undefined && { only: only.map((model) => this.#entities.get(model)!) }),
    });
  }

  #declare<T extends PlainClass>(cls: T, shape: ShapeSpec): T {
    for (const [key, property] of Object.entries(shape)) {
      const { is, models, each, optional, nullable } = property;
      if (is === 'reference') {
        const options = { ...(each && { each }), ...(optional && { optional }), ...(nullable && { nullable }) };
        defineDto(cls, {
          [key]: ref(() => models!.flatMap((name) => this.#entities.get(name) ?? []), options),
        } as object);
        continue;
      }
      const options = { ...(each && { each }), ...(optional && { optional }), ...(nullable && { nullable }) };
      defineDto(cls, { [key]: field(options) } as object);
      Expose()(cls.prototype as object, key);
      if (is === 'any') continue;
      const type = this.#typeOf(`${cls.name}_${key}`, property);
      if (!each) Reflect.defineMetadata('design:type', type, cls.prototype as object, key);
      Type(() => type)(cls.prototype as object, key);
    }
    return cls;
  }

  #typeOf(name: string, { is, value, shape }: PropertySpec): PlainClass {
    if (is === 'text') return String as never;
    if (is === 'value') return this.#values.get(value!) ?? Object;
    return this.#declare(namedClass(name), shape!);
  }

  /** The jobs that its tasks have stored, of all that they may be sent. */
  async stored(): Promise<readonly NewJob[]> {
    const before = this.#sent.length;
    for (const [name, { queue, shapes }] of Object.entries(this.#spec.tasks)) {
      const task = this.tasks[0].declare<object>(name, { queue, retries: { limit: 0 } });
      const list = shapes[0] === undefined ? this.#everything() : this.#samples(shapes[0]);
      for (const args of list) await task.delay(args as never);
    }
    return this.#sent.splice(before).map((job) => structuredClone(job));
  }

  /** Which of the jobs of another release are not done here. */
  async failing(jobs: readonly NewJob[]): Promise<readonly NewJob[]> {
    const own = jobs.map((job) => ({ ...job, id: randomUUID(), data: structuredClone(job.data) as JsonObject }));
    await this.tasks[0].work();
    await this.#engine.enqueue(own, undefined);
    const states = await Promise.all(own.map(({ queue, id }) => this.#engine.find(queue, id)));
    await this.tasks[0].stop();
    return jobs.filter((_, index) => states[index]?.state !== 'completed');
  }

  #everything(): object[] {
    const models = Object.keys(this.#spec.models).flatMap((name) => this.#rows(name));
    const values = Object.keys(this.#spec.values).flatMap((name) => this.#valuesOf(name));
    return [...models, ...values].map((it) => ({ it }));
  }

  /** Arguments in which each property has once each of its values: objects, of which the longest is all at once. */
  #samples(shape: ShapeSpec): object[] {
    const choices = Object.entries(shape).map(([key, property]) => [key, this.#choices(property)] as const);
    const count = Math.max(1, ...choices.map(([, list]) => list.length));
    return Array.from({ length: count }, (_, index) =>
      Object.fromEntries(
        choices.flatMap(([key, list]) => {
          const value = list[index % list.length];
          return value === ABSENT ? [] : [[key, value]];
        }),
      ),
    );
  }

  #choices({ is, models, value, shape, each, optional, nullable }: PropertySpec): unknown[] {
    const one: unknown[] = {
      any: () => ['text', 7, null, { inner: [1, { deep: true }] }, [1, 2], new Set([1])],
      text: () => ['text'],
      reference: () => models!.flatMap((name) => this.#rows(name)),
      object: () => this.#samples(shape!),
      value: () => this.#valuesOf(value!),
    }[is]();
    const several = is === 'any' || each === undefined ? one : one.map((item) => SEVERAL[String(each)]!(item));
    return [...several, ...(optional ? [ABSENT] : []), ...(nullable && is !== 'any' ? [null] : [])];
  }

  #rows(name: string): object[] {
    const { key, version } = this.#spec.models[name]!;
    const count = Math.max(...key.map((type) => KEYS[type].values.length));
    const dated = version && { version: version === 'date' ? new Date(0) : 3 };
    return Array.from({ length: count }, (_, index) => {
      const parts = key.map((type, part) => [`key${part}`, KEYS[type].values[index % KEYS[type].values.length]]);
      const em = this.serializer.orm.em.fork();
      return em.merge(this.#entities.get(name)! as never, { ...Object.fromEntries(parts), ...dated } as never);
    });
  }

  /** A row of a model, as a query would bring it. */
  row(model: string, key: readonly unknown[]): object {
    const parts = key.map((value, part) => [`key${part}`, value]);
    return this.serializer.orm.em.fork().merge(this.#entities.get(model)! as never, Object.fromEntries(parts) as never);
  }

  #valuesOf(name: string): object[] {
    return this.#samples(this.#spec.values[name]!).map((data) => Object.assign(new (this.#values.get(name)!)(), data));
  }
}

const ABSENT = Symbol('absent');

const SEVERAL: Record<string, (item: unknown) => unknown> = {
  true: (item) => [item],
  set: (item) => new Set([item]),
  map: (item) => new Map([['key', item]]),
};

function entityClass(name: string, { aliases }: ModelSpec): PlainClass {
  const cls = namedClass(name);
  ByReference({ name, aliases })(cls);
  return cls;
}

const namedClass = (name: string): PlainClass => ({ [name]: class {} })[name]!;
