/** An application, and what a release may do to it: by kind, of anything in it. */
import fc, { type Arbitrary } from 'fast-check';
import { KEYS, type KeyType, type PropertySpec, type ShapeSpec, type Spec, type TaskSpec } from './application.ts';

const line: ShapeSpec = { label: { is: 'text' }, note: { is: 'any', optional: true } };

export const base: Spec = {
  models: {
    User: { aliases: ['Account'], key: ['int'], version: 'integer' },
    Order: { aliases: [], key: ['uuid'], version: 'date' },
    OrderLine: { aliases: [], key: ['uuid', 'smallint'] },
    Seat: { aliases: [], key: ['int', 'int'] },
    Country: { aliases: [], key: ['varchar(20)'] },
    Comment: { aliases: [], key: ['bigint'] },
  },
  values: {
    Money: { amount: { is: 'any' }, currency: { is: 'any' } },
    Offer: { customer: { is: 'reference', models: ['User'] }, price: { is: 'value', value: 'Money' } },
  },
  tasks: {
    log: { queue: 'log', shapes: [] },
    remind: {
      queue: 'remind',
      shapes: [
        { user: { is: 'reference', models: ['User'] }, language: { is: 'any', optional: true } },
        { id: { is: 'text' } },
      ],
    },
    ship: {
      queue: 'ship',
      shapes: [
        {
          order: { is: 'reference', models: ['Order', 'OrderLine', 'Seat'], nullable: true },
          lines: { is: 'object', shape: line, each: true },
          to: { is: 'object', shape: { street: { is: 'any' }, in: { is: 'reference', models: ['Country'] } } },
        },
      ],
    },
    bill: {
      queue: 'money',
      shapes: [
        {
          price: { is: 'value', value: 'Money' },
          offers: { is: 'value', value: 'Offer', each: 'map', optional: true },
          watchers: { is: 'reference', models: ['User'], each: 'set', optional: true },
        },
      ],
    },
    refund: { queue: 'money', shapes: [{ price: { is: 'value', value: 'Money', nullable: true } }] },
  },
};

type Change = (spec: Spec) => Spec;

/** One change, or two. */
export const mutations = (spec: Spec): Arbitrary<Change> =>
  fc.array(mutation(spec), { minLength: 1, maxLength: 2 }).map((changes) =>
    Object.assign((given: Spec) => changes.reduce((now, change) => change(now), given), {
      [fc.toStringMethod]: () => changes.map((change) => change.name).join(', then '),
    }),
  );

function mutation(spec: Spec): Arbitrary<Change> {
  const models = Object.keys(spec.models);
  const values = Object.keys(spec.values);
  const tasks = Object.keys(spec.tasks);
  const types = Object.keys(KEYS) as KeyType[];
  const model = fc.constantFrom(...models);
  const task = fc.constantFrom(...tasks);
  return fc.oneof(
    fc
      .tuple(model, fc.boolean())
      .map(([name, keeps]) => named(`rename ${name}, alias ${keeps}`, renameModel(name, keeps))),
    model.map((name) => named(`remove model ${name}`, removeModel(name))),
    model.map((name) =>
      named(`drop aliases of ${name}`, (now) => withModel(now, name, (own) => ({ ...own, aliases: [] }))),
    ),
    fc
      .constantFrom('integer', 'date', undefined)
      .chain((version) =>
        model.map((name) =>
          named(`date ${name} by ${version}`, (now) =>
            withModel(now, name, ({ version: _version, ...own }) => (version ? { ...own, version } : own)),
          ),
        ),
      ),
    fc
      .tuple(model, fc.nat(1), fc.constantFrom(...types))
      .map(([name, part, type]) =>
        named(`key ${part} of ${name} is ${type}`, (now) =>
          withModel(now, name, (own) => ({ ...own, key: own.key.with(part % own.key.length, type) })),
        ),
      ),
    model.map((name) =>
      named(`a longer key of ${name}`, (now) => withModel(now, name, (own) => ({ ...own, key: [...own.key, 'int'] }))),
    ),
    model.map((name) =>
      named(`the key of ${name} the other way round`, (now) =>
        withModel(now, name, (own) => ({ ...own, isTurned: own.isTurned !== true })),
      ),
    ),
    fc.constant(
      named('add a model', (now) => ({ ...now, models: { ...now.models, New: { aliases: [], key: ['int'] } } })),
    ),
    fc.constantFrom(...values).map((name) => named(`rename value ${name}`, renameValue(name))),
    fc.constant(named('add a value', (now) => ({ ...now, values: { ...now.values, New: { x: { is: 'any' } } } }))),
    fc
      .tuple(task, fc.boolean())
      .map(([name, keeps]) => named(`rename task ${name}, queue ${keeps}`, renameTask(name, keeps))),
    task.map((name) => named(`remove task ${name}`, (now) => ({ ...now, tasks: without(now.tasks, name) }))),
    fc
      .tuple(task, fc.constantFrom('money', 'elsewhere'))
      .map(([name, queue]) =>
        named(`${name} is in ${queue}`, (now) => withTask(now, name, (own) => ({ ...own, queue }))),
      ),
    fc.tuple(task, fc.boolean()).map(([name, joins]) =>
      named(`add a task to ${joins ? name : 'a queue of its own'}`, (now) => ({
        ...now,
        tasks: { ...now.tasks, added: { queue: joins ? (now.tasks[name]?.queue ?? 'added') : 'added', shapes: [] } },
      })),
    ),
    fc
      .subarray(models, { minLength: 1 })
      .map((only) =>
        named(`log takes only ${only}`, (now) =>
          withTask(now, 'log', (own) => ({ ...own, only: only.filter((name) => name in now.models) })),
        ),
      ),
    fc
      .constantFrom('jobs', 'other', undefined)
      .map((purpose) =>
        named(`signed for ${purpose}`, ({ purpose: _purpose, ...now }) => (purpose ? { ...now, purpose } : now)),
      ),
    task.map((name) =>
      named(`${name} forgets its earlier shapes`, (now) =>
        withTask(now, name, (own) => ({ ...own, shapes: own.shapes.slice(0, 1) })),
      ),
    ),
    fc
      .tuple(task, property(spec))
      .map(([name, own]) =>
        named(`${name} has a new shape, and an upgrade`, (now) =>
          withTask(now, name, (old) =>
            old.shapes.length === 0 ? old : { ...old, shapes: [{ fresh: own }, ...old.shapes] },
          ),
        ),
      ),
    {
      weight: 12,
      arbitrary: fc
        .tuple(fc.constantFrom(...tasks.filter((name) => spec.tasks[name]!.shapes.length > 0)), shapeChange(spec))
        .map(([name, [what, change]]) =>
          named(`${name}: ${what}`, (now) =>
            withTask(now, name, (own) => ({
              ...own,
              shapes: own.shapes.map((shape, age) => (age === 0 ? change(shape) : shape)),
            })),
          ),
        ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(...values), propertyChange(spec)).map(([name, [what, change]]) =>
        named(`value ${name}: its reference ${what}`, (now) =>
          now.values[name] === undefined
            ? now
            : {
                ...now,
                values: {
                  ...now.values,
                  [name]: mapShape(now.values[name]!, (own) =>
                    own.is === 'reference' ? { ...own, models: change(own).models ?? own.models! } : own,
                  ),
                },
              },
        ),
      ),
    },
  );
}

const named = (name: string, change: Change): Change => Object.defineProperty(change, 'name', { value: name });

const without = <T>(record: { readonly [name: string]: T }, name: string): { [name: string]: T } =>
  Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));

const withModel = (spec: Spec, name: string, change: (own: Spec['models'][string]) => Spec['models'][string]): Spec =>
  spec.models[name] === undefined ? spec : { ...spec, models: { ...spec.models, [name]: change(spec.models[name]) } };

const withTask = (spec: Spec, name: string, change: (own: TaskSpec) => TaskSpec): Spec =>
  spec.tasks[name] === undefined ? spec : { ...spec, tasks: { ...spec.tasks, [name]: change(spec.tasks[name]) } };

const mapShape = (shape: ShapeSpec, change: (own: PropertySpec) => PropertySpec): ShapeSpec =>
  Object.fromEntries(Object.entries(shape).map(([key, own]) => [key, change(own)]));

/** Every property of the application, at any depth. */
function mapProperties(spec: Spec, change: (own: PropertySpec) => PropertySpec): Spec {
  const inner = (own: PropertySpec): PropertySpec =>
    change(own.shape === undefined ? own : { ...own, shape: mapShape(own.shape, inner) });
  return {
    ...spec,
    values: Object.fromEntries(Object.entries(spec.values).map(([name, shape]) => [name, mapShape(shape, inner)])),
    tasks: Object.fromEntries(
      Object.entries(spec.tasks).map(([name, own]) => [
        name,
        { ...own, shapes: own.shapes.map((shape) => mapShape(shape, inner)) },
      ]),
    ),
  };
}

/** What refers to a model that is gone holds anything instead, or the others. */
function mapModels(spec: Spec, change: (name: string) => string | undefined): Spec {
  const mapped = (models: readonly string[]): string[] => models.flatMap((name) => change(name) ?? []);
  const now = mapProperties(spec, (own) => {
    if (own.models === undefined) return own;
    const models = mapped(own.models);
    return models.length > 0 ? { ...own, models } : { is: 'any', ...(own.optional && { optional: true }) };
  });
  const tasks = Object.entries(now.tasks).map(([name, own]): [string, TaskSpec] => [
    name,
    own.only === undefined ? own : { ...own, only: mapped(own.only) },
  ]);
  return { ...now, tasks: Object.fromEntries(tasks) };
}

function renameModel(name: string, keeps: boolean): Change {
  return (spec) => {
    const own = spec.models[name];
    if (own === undefined) return spec;
    const aliases = keeps ? [...own.aliases, name] : own.aliases;
    const models = { ...without(spec.models, name), [`${name}Renamed`]: { ...own, aliases } };
    return mapModels({ ...spec, models }, (other) => (other === name ? `${name}Renamed` : other));
  };
}

const removeModel =
  (name: string): Change =>
  (spec) =>
    mapModels({ ...spec, models: without(spec.models, name) }, (other) => (other === name ? undefined : other));

function renameValue(name: string): Change {
  return (spec) => {
    const own = spec.values[name];
    if (own === undefined) return spec;
    const values = { ...without(spec.values, name), [`${name}Renamed`]: own };
    return mapProperties({ ...spec, values }, (property_) =>
      property_.value === name ? { ...property_, value: `${name}Renamed` } : property_,
    );
  };
}

function renameTask(name: string, keeps: boolean): Change {
  return (spec) => {
    const own = spec.tasks[name];
    if (own === undefined) return spec;
    const renamed = keeps ? own : { ...own, queue: `${name}Renamed` };
    return { ...spec, tasks: { ...without(spec.tasks, name), [`${name}Renamed`]: renamed } };
  };
}

const property = (spec: Spec): Arbitrary<PropertySpec> =>
  fc.oneof(
    fc.constantFrom<PropertySpec>(
      { is: 'any' },
      { is: 'text' },
      { is: 'any', optional: true },
      { is: 'object', shape: line },
    ),
    fc.constantFrom(...Object.keys(spec.values)).map((value): PropertySpec => ({ is: 'value', value })),
    fc
      .subarray(Object.keys(spec.models), { minLength: 1 })
      .map((models): PropertySpec => ({ is: 'reference', models })),
  );

/** A change of one property, with its name. */
function propertyChange(spec: Spec): Arbitrary<[string, (own: PropertySpec) => PropertySpec]> {
  const own = <T>(name: string, arbitrary: Arbitrary<T>, change: (own: PropertySpec, to: T) => PropertySpec) =>
    arbitrary.map((to): [string, (own: PropertySpec) => PropertySpec] => [
      `${name} ${JSON.stringify(to)}`,
      (given) => change(given, to),
    ]);
  const flag = fc.boolean();
  return fc.oneof(
    own('optional', flag, ({ optional: _optional, ...given }, to) => (to ? { ...given, optional: true } : given)),
    own('nullable', flag, ({ nullable: _nullable, ...given }, to) => (to ? { ...given, nullable: true } : given)),
    own('each', fc.constantFrom(undefined, true, 'set', 'map'), ({ each: _each, ...given }, to) =>
      to === undefined ? given : { ...given, each: to as true },
    ),
    own('of', fc.subarray(Object.keys(spec.models), { minLength: 1 }), (given, models) =>
      given.is === 'reference' ? { ...given, models } : given,
    ),
    own('is', property(spec), ({ optional, nullable, each }, to) => ({
      ...(optional && { optional }),
      ...(nullable && { nullable }),
      ...(each && { each }),
      ...to,
    })),
  );
}

/** A change of a shape, or of one that is in it. */
function shapeChange(spec: Spec): Arbitrary<[string, (shape: ShapeSpec) => ShapeSpec]> {
  const key = fc.nat(9);
  const at = (shape: ShapeSpec, index: number): string => Object.keys(shape)[index % Object.keys(shape).length]!;
  const change = fc.oneof(
    key.map((index): [string, (shape: ShapeSpec) => ShapeSpec] => [
      `remove ${index}`,
      (shape) => without(shape, at(shape, index)),
    ]),
    key.map((index): [string, (shape: ShapeSpec) => ShapeSpec] => [
      `rename ${index}`,
      (shape) => ({ ...without(shape, at(shape, index)), renamed: shape[at(shape, index)]! }),
    ]),
    fc
      .tuple(property(spec), fc.boolean())
      .map(([own, optional]): [string, (shape: ShapeSpec) => ShapeSpec] => [
        `add ${JSON.stringify(own)}, optional ${optional}`,
        (shape) => ({ ...shape, added: optional ? { ...own, optional: true } : own }),
      ]),
    {
      weight: 6,
      arbitrary: fc
        .tuple(key, propertyChange(spec))
        .map(([index, [what, one]]): [string, (shape: ShapeSpec) => ShapeSpec] => [
          `property ${index} ${what}`,
          (shape) => ({ ...shape, [at(shape, index)]: one(shape[at(shape, index)]!) }),
        ]),
    },
  );
  return fc.tuple(change, fc.boolean()).map(([[what, one], deep]): [string, (shape: ShapeSpec) => ShapeSpec] => [
    deep ? `inside: ${what}` : what,
    (shape) =>
      // A shape without properties declares nothing, and is none.
      notEmpty(
        deep
          ? mapShape(shape, (own) =>
              own.shape === undefined ? own : { ...own, shape: notEmpty(one(own.shape), own.shape) },
            )
          : one(shape),
        shape,
      ),
  ]);
}

const notEmpty = (shape: ShapeSpec, before: ShapeSpec): ShapeSpec => (Object.keys(shape).length > 0 ? shape : before);
