import type { DecodeHooks } from '../../src/codec/decode.ts';
import type { EncodeHooks } from '../../src/codec/encode.ts';
import { ByReferenceError } from '../../src/errors.ts';

/** Walkers of values that hold no entity and no value object. */
export const noEntities: EncodeHooks = {
  entity() {
    throw new Error('there is no entity in here');
  },
  snapshot() {
    throw new Error('there is no entity in here');
  },
  value: () => undefined,
};

/** Walkers of payloads whose registry is empty. */
export const noClasses: DecodeHooks = {
  value(name, path) {
    throw ByReferenceError.unknownValue(name, false, path());
  },
  snapshot(name, path) {
    throw ByReferenceError.unknownModel(name, false, path());
  },
};
