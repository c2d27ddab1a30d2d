import { TransformationType, type TypeMetadata } from 'class-transformer';
import { defaultMetadataStorage as storage } from 'class-transformer/cjs/storage.js';
import { type DtoProperty, propertiesOf, type ReferenceProperty } from '../reference-property.ts';

/** A class that class-transformer can make: its constructor is called without arguments. */
export type PlainClass<T extends object = object> = new () => T;

/** One declared property of a class. */
export interface ShapeProperty {
  readonly name: string;
  /** The key on the wire: the name, unless `@Expose({ name })` gives another. */
  readonly key: string;
  readonly reference: ReferenceProperty | undefined;
  readonly type: TypeMetadata | undefined;
  readonly optional: boolean;
  /** Has a `@Transform` on the way to plain data, or back. */
  readonly transforms: { readonly toPlain: boolean; readonly toClass: boolean };
}

/** What a class declares with `@Expose`, `@Type`, `@ByReference` and `defineDto`. */
export interface Shape {
  readonly class: PlainClass;
  /** By key on the wire; what the way back reads. */
  readonly properties: ReadonlyMap<string, ShapeProperty>;
  /** Keys that plain data may hold and the way back ignores: `@Expose({ toPlainOnly: true })`. */
  readonly plainOnly: ReadonlySet<string>;
}

const shapes = new WeakMap<PlainClass, Shape>();

/** The shape of a class; one that declares nothing has no properties. */
export function shapeOf(cls: PlainClass): Shape {
  let shape = shapes.get(cls);
  if (shape === undefined) shapes.set(cls, (shape = readShape(cls)));
  return shape;
}

function readShape(cls: PlainClass): Shape {
  const described = propertiesOf(cls);
  const types = typesOf(cls);
  const exposed = storage.getExposedProperties(cls, TransformationType.PLAIN_TO_CLASS);
  const names = new Set([...exposed, ...types.keys(), ...described.keys()]);
  const properties = Array.from(names, (name) => readProperty(cls, name, described.get(name), types.get(name)));
  const plain = storage.getExposedProperties(cls, TransformationType.CLASS_TO_PLAIN).map((name) => keyOf(cls, name));
  return {
    class: cls,
    properties: new Map(properties.map((property) => [property.key, property])),
    plainOnly: new Set(plain.filter((key) => !properties.some((property) => property.key === key))),
  };
}

function readProperty(
  cls: PlainClass,
  name: string,
  described: DtoProperty | undefined,
  type: TypeMetadata | undefined,
): ShapeProperty {
  const transforms = (direction: TransformationType): boolean =>
    storage
      .findTransformMetadatas(cls, name, direction)
      .some(({ options }) =>
        direction === TransformationType.CLASS_TO_PLAIN ? !options?.toClassOnly : !options?.toPlainOnly,
      );
  return {
    name,
    key: keyOf(cls, name),
    reference: described !== undefined && 'models' in described ? described : undefined,
    type,
    optional: described?.optional ?? false,
    transforms: {
      toPlain: transforms(TransformationType.CLASS_TO_PLAIN),
      toClass: transforms(TransformationType.PLAIN_TO_CLASS),
    },
  };
}

const keyOf = (cls: PlainClass, name: string): string => storage.findExposeMetadata(cls, name)?.options?.name ?? name;

/** The properties with `@Type`, those of base classes included; class-transformer finds them by name only. */
function typesOf(cls: PlainClass): Map<string, TypeMetadata> {
  const byClass = (storage as unknown as { _typeMetadatas: Map<unknown, Map<string, TypeMetadata>> })._typeMetadatas;
  const types = new Map<string, TypeMetadata>();
  for (let at: unknown = cls; typeof at === 'function' && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, type] of byClass.get(at) ?? []) if (!types.has(name)) types.set(name, type);
  }
  return types;
}

/** How `@Type` tells subclasses apart. */
export interface Discriminator {
  readonly property: string;
  readonly subTypes: readonly { readonly name: string; readonly value: unknown }[];
}

export const discriminatorOf = (type: TypeMetadata): Discriminator | undefined => type.options?.discriminator;

/**
 * The class that plain data under a property becomes: that of `@Type`, by the discriminator where there is one.
 * Undefined where the type is a built-in or declares nothing, and for a discriminator that names no subclass.
 */
export function nestedClass(property: ShapeProperty, data: Readonly<Record<string, unknown>>): PlainClass | undefined {
  const { type } = property;
  if (type === undefined) return undefined;
  const discriminator = discriminatorOf(type);
  const found =
    discriminator === undefined
      ? type.typeFunction({ newObject: {}, object: data, property: property.name })
      : discriminator.subTypes.find(({ name }) => name === data[discriminator.property])?.value;
  return isShaped(found) ? found : undefined;
}

/** True for a class that declares properties; String, Date and the like do not. */
export const isShaped = (cls: unknown): cls is PlainClass =>
  typeof cls === 'function' && shapeOf(cls as PlainClass).properties.size > 0;
