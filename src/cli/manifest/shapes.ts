import { isMarkedValue, nameOfMarked, type ValueClass } from '../../models/value-registry.ts';
import type { Model, ModelRegistry } from '../../models/model-registry.ts';
import type { ReferenceProperty } from '../../models/reference-property.ts';
import { isEntity } from '../../orm/entity.ts';
import { EntityToken } from '../../wire/token.ts';
import { severalOf } from '../../class-transformer/several.ts';
import {
  discriminatorOf,
  isShaped,
  type PlainClass,
  type ShapeProperty,
  shapeOf,
  typeOf,
} from '../../class-transformer/shape.ts';

export interface Shapes {
  readonly [name: string]: ShapeFacts;
}

/** By the key on the wire. */
export interface ShapeFacts {
  readonly [key: string]: PropertyFacts;
}

/** What a property holds; without any of `data` to `token` it is plain data of any kind. */
export interface PropertyFacts {
  /** Plain data: one, or several as `each` says. */
  readonly data?: true;
  /** The models that its tokens may name. */
  readonly reference?: readonly string[];
  /** The shape of its objects. */
  readonly object?: string;
  /** Their shapes, by what the property of that name says. */
  readonly objects?: { readonly by: string; readonly shapes: { readonly [name: string]: string } };
  /** The value object. */
  readonly value?: string;
  /** The models that it may hold copies of. */
  readonly copy?: readonly string[];
  readonly token?: true;
  /** What several are in; `array?` admits one without. */
  readonly each?: 'array' | 'array?' | 'set' | 'map';
  readonly optional?: true;
  readonly nullable?: true;
}

/** Classes → what they declare, under names that tell them apart. */
export class ShapeTable {
  readonly #registry: ModelRegistry;
  readonly #names = new Map<PlainClass, string>();
  readonly #shapes = new Map<string, ShapeFacts>();

  constructor(registry: ModelRegistry) {
    this.#registry = registry;
  }

  get entries(): readonly (readonly [string, ShapeFacts])[] {
    return [...this.#shapes];
  }

  /** The name of a class, described with all that is in it. */
  nameOf(cls: new () => object): string {
    const known = this.#names.get(cls);
    if (known !== undefined) return known;
    let name = cls.name;
    for (let count = 2; this.#shapes.has(name); count++) name = `${cls.name} ${count}`;
    this.#names.set(cls, name);
    // Kept before it is known: a class may hold itself.
    this.#shapes.set(name, {});
    this.#shapes.set(name, this.#describe(cls));
    return name;
  }

  /** The shape of a value object; undefined for one that declares nothing. */
  ofValue(cls: ValueClass): string | undefined {
    return isMarkedValue(cls) && isShaped(cls) ? this.nameOf(cls) : undefined;
  }

  #describe(cls: PlainClass): ShapeFacts {
    const initial = new cls() as Readonly<Record<string, unknown>>;
    const isValue = isMarkedValue(cls);
    const properties = shapeOf(cls).properties.filter(
      ({ goes, isConditional }) => goes.toClass && (isValue || !isConditional),
    );
    const entries = properties.map((property): [string, PropertyFacts] => [
      property.key,
      {
        ...this.#property(property, initial),
        ...((isValue || property.optional || initial[property.name] !== undefined) && { optional: true }),
      },
    ]);
    return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #property(property: ShapeProperty, initial: Readonly<Record<string, unknown>>): PropertyFacts {
    const { reference, type, transforms } = property;
    if (reference !== undefined) {
      const { each = false, nullable = false } = reference;
      return { reference: this.#models(reference), ...eachOf(each), ...(nullable && { nullable }) };
    }
    if (type === undefined || transforms.toClass.length > 0) return {};
    const content = this.#nested(property);
    return { ...content, ...eachOf(severalOf(property, initial)), ...(property.nullable && { nullable: true }) };
  }

  /** What the check of a DTO takes an object of a `@Type` for. */
  #nested(property: ShapeProperty): PropertyFacts {
    const discriminator = discriminatorOf(property);
    if (discriminator !== undefined) {
      const shapes = discriminator.subTypes.map(({ name, value }) => [name, this.nameOf(value as PlainClass)]);
      return { objects: { by: discriminator.property, shapes: Object.fromEntries(shapes) } };
    }
    const cls = typeOf(property, {});
    if (cls === EntityToken) return { token: true };
    if (typeof cls !== 'function') return { data: true };
    if (isMarkedValue(cls)) {
      this.ofValue(cls as ValueClass);
      return { value: nameOfMarked(cls)! };
    }
    if (isShaped(cls)) return { object: this.nameOf(cls) };
    return isEntity(cls.prototype as object) ? { copy: namesOf(this.#registry.admittedBy([cls])) } : { data: true };
  }

  #models({ models, only }: ReferenceProperty): readonly string[] {
    const admitted = this.#registry.admittedBy([models()].flat());
    const narrowed = only === undefined ? admitted : this.#registry.admittedBy(only);
    return namesOf([...admitted].filter((model) => narrowed.has(model)));
  }
}

const namesOf = (models: Iterable<Model>): readonly string[] => Array.from(models, ({ name }) => name).sort();

function eachOf(several: boolean | 'set' | 'map' | undefined): Pick<PropertyFacts, 'each'> {
  if (several === false) return {};
  return { each: several === undefined ? 'array?' : several === true ? 'array' : several };
}
