import { TransformationType, type TransformFnParams, type TypeMetadata } from 'class-transformer';
import { defaultMetadataStorage as storage } from 'class-transformer/cjs/storage.js';
import { type DtoProperty, propertiesOf, type ReferenceProperty, type Several } from '../models/reference-property.ts';

/** A class that can be made of data: its constructor is called without arguments. */
export type PlainClass<T extends object = object> = new () => T;

/** Which way data goes: from an instance to plain data, or back. */
export type Direction = 'toPlain' | 'toClass';

type TransformFn = (params: TransformFnParams) => unknown;

/** One declared property of a class. */
export interface ShapeProperty {
  readonly name: string;
  /** The key on the wire: the name, unless `@Expose({ name })` gives another. */
  readonly key: string;
  readonly reference: ReferenceProperty | undefined;
  readonly type: TypeMetadata | undefined;
  /** What several are in, where the class says so. */
  readonly each: Several | undefined;
  readonly optional: boolean;
  readonly nullable: boolean;
  /** `@Expose` with groups or versions: a DTO has neither, so it does not take such a key. */
  readonly isConditional: boolean;
  /** False for a direction that `toPlainOnly` or `toClassOnly` closes. */
  readonly goes: Readonly<Record<Direction, boolean>>;
  /** The functions of `@Transform`, in the order in which they are applied. */
  readonly transforms: Readonly<Record<Direction, readonly TransformFn[]>>;
}

/** What a class declares with `@Expose`, `@Type`, `@ByReference` and `defineDto`. */
export interface Shape {
  readonly class: PlainClass;
  readonly properties: readonly ShapeProperty[];
  /** True for an own property that `@Exclude`, its own or the class's, keeps out on purpose. */
  isExcluded(name: string): boolean;
}

let shapes = new WeakMap<PlainClass, Shape>();

/** The shape of a class; one that declares nothing has no properties. Throws TypeError for two properties of one key. */
export function shapeOf(cls: PlainClass): Shape {
  let shape = shapes.get(cls);
  if (shape === undefined) shapes.set(cls, (shape = readShape(cls)));
  return shape;
}

/** For what describes a class later than its decorators; subclasses of it are affected too. */
export function forgetShapes(): void {
  shapes = new WeakMap();
}

const TYPES = { toPlain: TransformationType.CLASS_TO_PLAIN, toClass: TransformationType.PLAIN_TO_CLASS } as const;

function readShape(cls: PlainClass): Shape {
  const described = propertiesOf(cls);
  const types = typesOf(cls);
  const exposed = storage.getExposedMetadatas(cls).flatMap(({ propertyName }) => propertyName ?? []);
  const names = new Set([...exposed, ...types.keys(), ...described.keys()]);
  const properties = Array.from(names, (name) => readProperty(cls, name, described.get(name), types.get(name)));
  for (const [index, { key, name }] of properties.entries()) {
    const other = properties.find((candidate, at) => at < index && candidate.key === key);
    if (other !== undefined)
      throw new TypeError(`${cls.name}.${other.name} and ${cls.name}.${name} have one key: ${key}`);
  }
  const isExcludeAll = storage.getStrategy(cls) === 'excludeAll';
  return {
    class: cls,
    properties: properties.filter(({ goes }) => goes.toPlain || goes.toClass),
    isExcluded: (name) => isExcludeAll || names.has(name) || storage.findExcludeMetadata(cls, name) !== undefined,
  };
}

function readProperty(
  cls: PlainClass,
  name: string,
  described: DtoProperty | undefined,
  type: TypeMetadata | undefined,
): ShapeProperty {
  const expose = storage.findExposeMetadata(cls, name)?.options ?? {};
  const exclude = storage.findExcludeMetadata(cls, name)?.options;
  const isExcluded = storage.findExcludeMetadata(cls, name) !== undefined && storage.getStrategy(cls) !== 'excludeAll';
  const isKept = (only: 'toPlainOnly' | 'toClassOnly', other: 'toPlainOnly' | 'toClassOnly'): boolean =>
    expose[other] !== true && (!isExcluded || exclude?.[other] === true) && !(exclude?.[only] === true);
  const transforms = (direction: Direction): TransformFn[] =>
    storage
      .findTransformMetadatas(cls, name, TYPES[direction])
      .filter(({ options = {} }) => options[direction === 'toPlain' ? 'toClassOnly' : 'toPlainOnly'] !== true)
      .map(({ transformFn }) => transformFn as TransformFn);
  return {
    name,
    key: expose.name ?? name,
    reference: described !== undefined && 'models' in described ? described : undefined,
    type,
    each: described?.each,
    optional: described?.optional ?? false,
    nullable: described?.nullable ?? false,
    isConditional: expose.groups !== undefined || expose.since !== undefined || expose.until !== undefined,
    goes: { toPlain: isKept('toPlainOnly', 'toClassOnly'), toClass: isKept('toClassOnly', 'toPlainOnly') },
    transforms: { toPlain: transforms('toPlain'), toClass: transforms('toClass') },
  };
}

/** The properties with `@Type`, those of base classes included; class-transformer finds them by name only. */
function typesOf(cls: PlainClass): Map<string, TypeMetadata> {
  const byClass = (storage as unknown as { _typeMetadatas: Map<unknown, Map<string, TypeMetadata>> })._typeMetadatas;
  const types = new Map<string, TypeMetadata>();
  for (let at: unknown = cls; typeof at === 'function' && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, type] of byClass.get(at) ?? []) if (!types.has(name)) types.set(name, type);
  }
  return types;
}

/** Applies the transforms of a property, as class-transformer does. */
export function transform(property: ShapeProperty, direction: Direction, value: unknown, holder: object): unknown {
  let result = value;
  for (const fn of property.transforms[direction]) {
    result = fn({ value: result, key: property.name, obj: holder, type: TYPES[direction], options: {} });
  }
  return result;
}

/** How `@Type` tells subclasses apart. */
export interface Discriminator {
  readonly property: string;
  readonly subTypes: readonly { readonly name: string; readonly value: unknown }[];
}

export const discriminatorOf = ({ type }: ShapeProperty): Discriminator | undefined => type?.options?.discriminator;

/** The class of `@Type`; what its function is told of the holder is what class-transformer tells it. */
export const typeOf = ({ type, name }: ShapeProperty, holder: object): unknown =>
  type?.typeFunction({ newObject: {}, object: holder as Record<string, unknown>, property: name });

/** True for a class that declares properties; String, Date and the like do not. */
export const isShaped = (cls: unknown): cls is PlainClass =>
  typeof cls === 'function' && shapeOf(cls as PlainClass).properties.length > 0;
