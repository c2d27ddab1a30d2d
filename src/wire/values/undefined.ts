import type { JsonValue } from '../json.ts';
import type { DecodeWalk } from './value-type.ts';

/** `{"$undefined":true}`: a key that is there with the value undefined stays there. Array holes become undefined. */
export const undefinedValue = {
  tag: '$undefined',
  encode: (): true => true,
  decode: (body: JsonValue, walk: DecodeWalk): undefined => (body === true ? undefined : walk.malformed('true')),
} as const;
