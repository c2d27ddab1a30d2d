import { ByReferenceError } from '../errors.ts';
import { isJsonObject, type JsonArray, type JsonObject, type JsonValue } from './json.ts';

/**
 * JSON text in which equal values read equal, to the letter of RFC 8785: object keys in the order of their UTF-16 code
 * units, no white space. Throws E_LIMIT where the value is deeper than `maxDepth`, E_MALFORMED for what is no I-JSON:
 * a lone surrogate, a number that JSON does not have, what `JSON.parse` could not have made.
 */
export function canonicalJson(value: JsonValue, maxDepth = Number.MAX_SAFE_INTEGER): string {
  return new Writer(maxDepth).write(value);
}

/**
 * Text in which equal values read equal, of JSON that the encoder wrote: where `canonicalJson` keeps the order of what
 * has one on the wire, Sets, Maps and entries of objects are sorted here, and -0 is 0, as `===` and Maps have it.
 */
export function identityText(json: JsonValue): string {
  return new Writer(Number.MAX_SAFE_INTEGER, true).write(json);
}

const UNORDERED = ['$set', '$map', '$object'];

class Writer {
  readonly #maxDepth: number;
  /** Set to take tags for what they stand for. */
  readonly #byContent: boolean;
  #depth = 0;

  constructor(maxDepth: number, byContent = false) {
    this.#maxDepth = maxDepth;
    this.#byContent = byContent;
  }

  /** One call a level, with few variables: thousands of levels have to fit the stack. */
  write(value: JsonValue): string {
    if (typeof value !== 'object' || value === null) return scalar(value);
    if (++this.#depth > this.#maxDepth) throw ByReferenceError.limit('levels', this.#maxDepth, 'depth');
    let text = '';
    if (isArray(value)) {
      for (let index = 0; index < value.length; index++) text += `${text && ','}${this.write(value[index]!)}`;
      text = `[${text}]`;
    } else if (this.#byContent && '$number' in value && value['$number'] === '-0') {
      text = '0';
    } else if (this.#byContent && UNORDERED.some((tag) => tag in value)) {
      text = this.#sorted(value);
    } else {
      // Not by JSON.stringify, which puts integer-like keys first whatever order they are set in.
      const keys = sortedKeys(value);
      for (let index = 0; index < keys.length; index++) {
        text += `${text && ','}${scalar(keys[index]!)}:${this.write(value[keys[index]!]!)}`;
      }
      text = `{${text}}`;
    }
    this.#depth--;
    return text;
  }

  /** A tag stands alone: a key of the data's own that starts with $ has one more. */
  #sorted(value: JsonObject): string {
    const [[tag, items]] = Object.entries(value) as [[string, JsonArray]];
    return `{${scalar(tag)}:[${items
      .map((item) => this.write(item))
      .sort()
      .join()}]}`;
  }
}

/** ECMAScript writes strings and numbers as the RFC prescribes; what else it writes has no canonical form. */
function scalar(value: JsonValue): string {
  if (
    typeof value === 'string'
      ? value.isWellFormed()
      : typeof value === 'number'
        ? Number.isFinite(value)
        : isConstant(value)
  )
    return JSON.stringify(value);
  throw notJson();
}

function sortedKeys(value: JsonValue): string[] {
  if (!isJsonObject(value)) throw notJson();
  return Object.keys(value).sort();
}

const isArray = (value: unknown): value is JsonArray => Array.isArray(value);

const isConstant = (value: unknown): boolean => value === null || value === true || value === false;

const notJson = (): ByReferenceError => ByReferenceError.malformed('expected JSON, its text in whole characters');
