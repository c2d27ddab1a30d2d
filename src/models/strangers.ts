import type { JsonValue } from '../wire/json.ts';
import { readTokenBody } from '../wire/token.ts';

/** No text of a payload grows the memory of a process. */
const MOST = 100;

/** The models that plain JSON has named and nobody knows. */
export class Strangers {
  readonly #told = new Set<string>();

  /** Warns of the model of a well-formed token, once; what is none is somebody's own data. */
  tell(body: JsonValue): void {
    const model = modelOf(body);
    if (model === undefined || this.#told.has(model) || this.#told.size >= MOST) return;
    this.#told.add(model);
    process.emitWarning(
      `revive() has met a reference to ${JSON.stringify(model)}, which is no model of this serializer, and left it a plain object. If the class was renamed, list that name in @ByReference({ aliases }).`,
      { type: 'ByReferenceWarning', code: 'BYREF_UNKNOWN_MODEL' },
    );
  }
}

function modelOf(body: JsonValue): string | undefined {
  try {
    const { model } = readTokenBody(body, () => '$');
    return model.length <= 200 ? model : undefined;
  } catch {
    return undefined;
  }
}
