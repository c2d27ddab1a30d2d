import { hasMethod } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { isEntity } from '../orm/entity.ts';
import { isError, reasonOf } from '../orm/orm-error.ts';
import { isStorable } from '../text.ts';
import type { JsonValue, PathSegment } from '../wire/json.ts';
import type { Declared } from './reference-property.ts';

/** How the instances of one class travel. Both must be synchronous and pure. */
export interface ValueCodec<T, Data = unknown> {
  /**
   * Anything that travels: plain data, dates, entities, other registered value objects. What it throws is the `cause`
   * of E_UNSERIALIZABLE.
   */
  encode(value: T): Data;
  /**
   * The instance again, from what `encode` returned; entities in it are the current rows. What it throws is the `cause`
   * of E_MALFORMED.
   */
  decode(data: Data): T;
}

/** A class that instances of value objects are made of. */
export type ValueClass<T extends object = object> = abstract new (...args: never[]) => T;

/** What a decorator knows of a class beside its codec. */
export interface MarkedCodec extends ValueCodec<object> {
  /** Looks at the data before anything is loaded: notes the references that the class declares. */
  check?(data: JsonValue, at: () => readonly PathSegment[], declared: Declared): void;
}

/** A value object under its name on the wire. */
export interface ValueObject {
  /** The name on the wire: `Money`. */
  readonly name: string;
  /** The class of its instances. */
  readonly class: ValueClass;
  /** How its instances travel. */
  readonly codec: MarkedCodec;
}

const VALUE = Symbol.for('mikro-orm-byref.value');

interface MarkedValue {
  readonly name: string;
  readonly codec: MarkedCodec;
}

/** Marks a class as a value object, for the option `values`; a decorator's work. Subclasses are not marked by it. */
export function markValue(cls: ValueClass, name: string, codec: MarkedCodec): void {
  const mark: MarkedValue = { name, codec };
  Object.defineProperty(cls, VALUE, { value: mark, configurable: true });
}

/** True for a class that travels under a name of its own. */
export const isMarkedValue = (cls: object): boolean => Object.hasOwn(cls, VALUE);

/** The name of a marked class. */
export const nameOfMarked = (cls: object): string | undefined => (cls as { [VALUE]?: MarkedValue })[VALUE]?.name;

/**
 * Stable name ↔ class of value object. Names resolve through it only, never through globals; instances match by exact
 * class, because a subclass has behaviour that its base's codec would lose.
 */
export class ValueRegistry {
  readonly #byName = new Map<string, ValueObject>();
  readonly #byPrototype = new Map<unknown, ValueObject>();
  readonly #unknownIsRetryable: boolean;

  constructor(classes: readonly ValueClass[] = [], options: { readonly unknownIsRetryable?: boolean } = {}) {
    this.#unknownIsRetryable = options.unknownIsRetryable ?? false;
    for (const cls of classes) {
      const mark = Object.hasOwn(cls, VALUE) ? (cls as { [VALUE]?: MarkedValue })[VALUE] : undefined;
      if (mark === undefined) {
        throw ByReferenceError.invalidOption(
          'option values',
          'classes marked with @ByValue(); register others with serializer.values.register()',
          cls,
        );
      }
      this.register(mark.name, cls, mark.codec);
    }
  }

  /** The wire names, sorted. */
  get names(): readonly string[] {
    return [...this.#byName.keys()].sort();
  }

  /**
   * Lets instances of a class travel as `{"$value":["Money",…]}`. Do it at start, in every process: a decoder must know
   * the name before it meets it.
   * @throws E_INVALID_OPTION for a name or a class that is taken, and for an entity class.
   */
  register<T extends object, Data>(name: string, cls: ValueClass<T>, codec: ValueCodec<T, Data>): void {
    if (typeof name !== 'string' || name === '' || !isStorable(name)) {
      throw ByReferenceError.invalidOption('name of a value object', 'a name', name);
    }
    if (typeof cls !== 'function' || isEntity(cls.prototype as object) || cls.prototype === Object.prototype) {
      throw ByReferenceError.invalidOption(`class of the value object "${name}"`, 'a class that is no entity', cls);
    }
    if (!hasMethod(codec, 'encode') || !hasMethod(codec, 'decode')) {
      throw ByReferenceError.invalidOption(`codec of the value object "${name}"`, '{ encode, decode }', codec);
    }
    const taken = this.#byName.get(name) ?? this.#byPrototype.get(cls.prototype);
    if (taken !== undefined) {
      const expected = `a name and a class of its own; "${taken.name}" is ${taken.class.name}`;
      throw ByReferenceError.invalidOption(`value object "${name}"`, expected, cls);
    }
    const value: ValueObject = { name, class: cls, codec: codec as ValueCodec<unknown> as ValueCodec<object> };
    this.#byName.set(name, value);
    this.#byPrototype.set(cls.prototype, value);
  }

  /** The registration of an instance's own class. */
  of(instance: object): ValueObject | undefined {
    return this.#byPrototype.get(Object.getPrototypeOf(instance));
  }

  /**
   * The registration that a payload names.
   * @throws E_UNKNOWN_VALUE.
   */
  findOrFail(name: string, path?: () => string): ValueObject {
    const value = this.#byName.get(name);
    if (value === undefined) throw ByReferenceError.unknownValue(name, this.#unknownIsRetryable, path?.());
    return value;
  }
}

/** What a value object's own `encode` returns; its failure is E_UNSERIALIZABLE with that as cause. */
export function encodeValue({ name, codec }: ValueObject, instance: object, path: () => string): unknown {
  try {
    return codec.encode(instance);
  } catch (cause) {
    throw ByReferenceError.unserializable(
      `The value object ${name}`,
      `its encode() failed${because(cause)}`,
      path(),
      cause,
    );
  }
}

/** What a value object's own `decode` returns; its failure is E_MALFORMED with that as cause. */
export function decodeValue({ name, codec }: ValueObject, data: unknown, path: () => string): unknown {
  try {
    return codec.decode(data);
  } catch (cause) {
    throw ByReferenceError.malformed(`decode() of the value object ${name} failed${because(cause)}`, {
      path: path(),
      cause,
    });
  }
}

const because = (cause: unknown): string => (isError(cause) ? `: ${reasonOf(cause)}` : '');
