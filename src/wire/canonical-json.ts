import { ByReferenceError } from '../errors.ts';
import { isJsonObject, type JsonArray, type JsonValue } from './json.ts';

/**
 * JSON text in which equal values read equal, to the letter of RFC 8785: object keys in the order of their UTF-16 code
 * units, no white space. Throws E_LIMIT where the value is deeper than `maxDepth`, E_MALFORMED for what is no I-JSON:
 * a lone surrogate, a number that JSON does not have, what `JSON.parse` could not have made.
 */
export function canonicalJson(value: JsonValue, maxDepth = Number.MAX_SAFE_INTEGER): string {
  return new Writer(maxDepth).write(value);
}

class Writer {
  readonly #maxDepth: number;
  #depth = 0;

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
  }

  /** One call a level, with few variables: thousands of levels have to fit the stack. */
  write(value: JsonValue): string {
    if (typeof value !== 'object' || value === null) return scalar(value);
    if (++this.#depth > this.#maxDepth) throw ByReferenceError.limit('levels', this.#maxDepth, 'depth');
    let text = '';
    if (isArray(value)) {
      for (let index = 0; index < value.length; index++) text += `${text && ','}${this.write(value[index]!)}`;
      text = `[${text}]`;
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
