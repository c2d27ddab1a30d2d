import type { ReferenceProperty } from '../models/reference-property.ts';
import { jsonPath, type JsonValue, type PathSegment } from '../wire/json.ts';
import { EntityToken, type TokenParts, writeTokenBody } from '../wire/token.ts';
import { OMITTED } from '../wire/values/value-type.ts';

/** Where a slot is before it is placed; one array for all, as there may be many slots. */
const NOWHERE: readonly never[] = [];

type Steps = PathSegment | readonly PathSegment[];

/** A place in a decoded value whose content is still to come. */
export class Slot {
  /** What goes there; OMITTED takes the place away. */
  value: unknown = undefined;
  #holder: object = NOWHERE;
  #key: PathSegment = 0;
  #at: readonly PathSegment[] = NOWHERE;
  #steps: Steps = NOWHERE;

  /** Says where the value goes, and at which path of the payload that is: the holder's, and the steps from there. */
  place(holder: object, key: PathSegment, at: readonly PathSegment[], steps: Steps = NOWHERE): void {
    this.#holder = holder;
    this.#key = key;
    this.#at = at;
    this.#steps = steps;
  }

  get path(): string {
    return jsonPath(this.#at.concat(this.#steps));
  }

  fill(): void {
    if (Array.isArray(this.#holder)) this.#holder[this.#key as number] = this.value;
    else if (this.value === OMITTED) delete (this.#holder as Record<string, unknown>)[this.#key];
    else (this.#holder as Record<string, unknown>)[this.#key] = this.value;
  }
}

/** The place of one entity: found by the walker, given its `value` (the entity, null or OMITTED) by the reviver. */
export class EntitySlot extends Slot implements TokenParts {
  readonly model: string;
  readonly key: JsonValue;
  readonly schema: string | undefined;
  readonly version: number | Date | undefined;
  /** What the property that holds it says about it, where a class declares one. */
  declared: ReferenceProperty | undefined = undefined;

  constructor({ model, key, schema, version }: TokenParts) {
    super();
    this.model = model;
    this.key = key;
    this.schema = schema;
    this.version = version;
  }

  /** Made when an error, a report or a callback asks: most slots never need one. */
  get token(): EntityToken {
    return EntityToken.fromBody(writeTokenBody(this.model, this.key, this.schema, this.version));
  }
}
