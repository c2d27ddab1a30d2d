import type { EntitySerializer } from '../../entity-serializer.ts';
import type { Model } from '../../models/model-registry.ts';
import type { TasksInsides } from '../../tasks/tasks.ts';
import type { Application } from '../application.ts';
import type { Shapes, ShapeTable } from './shapes.ts';

/** The names and shapes that payloads of an application are made of: `byref.manifest.json`. No secrets, no rows. */
export interface Manifest {
  /** The version of this form. */
  readonly byref: 1;
  /** What payloads are signed for, where that is the serializer's default. */
  readonly signed?: string;
  /** By the name on the wire. */
  readonly models: { readonly [name: string]: ModelFacts };
  /** Value objects, by the name on the wire. */
  readonly values: { readonly [name: string]: ValueFacts };
  readonly tasks: { readonly [name: string]: TaskFacts };
  /** What the classes of DTOs and value objects declare, by the name of the class. */
  readonly shapes: Shapes;
}

export interface ModelFacts {
  readonly aliases?: readonly string[];
  /** The types of the columns of its key. */
  readonly key: readonly string[];
  /** Their names, where there are several. */
  readonly columns?: readonly string[];
  /** What tokens with a version have as one. */
  readonly version?: 'integer' | 'date';
}

export interface ValueFacts {
  /** Undefined for one with a codec of its own. */
  readonly shape?: string;
}

export interface TaskFacts {
  readonly queue: string;
  /** What its jobs are signed for. */
  readonly signed?: string;
  /** Whether its jobs carry a context. */
  readonly context?: true;
  /** The models that its jobs may name, where they are restricted. */
  readonly only?: readonly string[];
  /** The shapes that it reads, the newest first: `as`, and those of `upgrade`. Undefined where its arguments are unchecked. */
  readonly shapes?: readonly string[];
}

export async function manifestOf({ serializer, tasks }: Application): Promise<Manifest> {
  const insides = tasks.map((each) => each.insides);
  const table = await shapeTable(serializer, insides);
  const { purpose } = { purpose: undefined, ...serializer.signed };
  return {
    byref: 1,
    ...(purpose !== undefined && { signed: purpose }),
    models: Object.fromEntries(
      serializer.registry.names.map((name) => [name, modelFacts(serializer.registry.findOrFail(name))]),
    ),
    values: Object.fromEntries(
      serializer.values.names.map((name) => {
        const shape = table?.ofValue(serializer.values.findOrFail(name).class);
        return [name, shape === undefined ? {} : { shape }];
      }),
    ),
    tasks: sorted(insides.flatMap((each) => taskEntries(each, serializer, table))),
    shapes: sorted(table?.entries ?? []),
  };
}

/** The names of the columns of a key, in the order of its parts. */
export const keyColumns = ({ metadata }: Model): readonly string[] =>
  metadata.getPrimaryProps().flatMap(({ fieldNames }) => fieldNames);

function modelFacts(model: Model): ModelFacts {
  const { aliases, primaryKey, version } = model;
  return {
    ...(aliases.length > 0 && { aliases: aliases.toSorted() }),
    key: primaryKey.types,
    ...(primaryKey.width > 1 && { columns: keyColumns(model) }),
    ...(version !== undefined && { version: version.isDate ? 'date' : 'integer' }),
  };
}

function taskEntries(
  { definitions, hasContext, seal: { purpose } }: TasksInsides,
  { registry }: EntitySerializer,
  table: ShapeTable | undefined,
): [string, TaskFacts][] {
  return definitions.map(({ name, queue, revive: { as, upgrade = [], only } }) => [
    name,
    {
      queue: queue.name,
      ...(purpose !== undefined && { signed: purpose }),
      ...(hasContext && { context: true }),
      ...(only !== undefined && { only: Array.from(registry.admittedBy(only), (model) => model.name).sort() }),
      ...(as !== undefined && { shapes: [as, ...upgrade.map(({ from }) => from)].map((cls) => table!.nameOf(cls)) }),
    },
  ]);
}

/** What a model of then is called now; undefined where it is gone. */
export function modelNow(name: string, { models }: Manifest): string | undefined {
  if (Object.hasOwn(models, name)) return name;
  return Object.keys(models).find((other) => models[other]!.aliases?.includes(name));
}

/** class-transformer is an optional peer: it is loaded where classes declare something by it. */
async function shapeTable(
  serializer: EntitySerializer,
  insides: readonly TasksInsides[],
): Promise<ShapeTable | undefined> {
  const hasDtos = insides.some(({ definitions }) => definitions.some(({ revive }) => revive.as !== undefined));
  if (!hasDtos && serializer.values.names.length === 0) return undefined;
  const { ShapeTable: Table } = await import('./shapes.ts');
  return new Table(serializer.registry);
}

/** A diff of two manifests is one of the application. */
function sorted<T>(entries: readonly (readonly [string, T])[]): { readonly [name: string]: T } {
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
