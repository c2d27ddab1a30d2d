import { types } from 'node:util';
import { isBuiltIn, type ValueType } from './value-type.ts';

/** `{"$bytes":"3q2+7w=="}` (base64, RFC 4648 section 4); a Buffer comes back as the Uint8Array it is. */
export const bytes: ValueType<Uint8Array> = {
  tag: '$bytes',
  matches: (value) => types.isUint8Array(value) && (isBuiltIn(value, 3) || Buffer.isBuffer(value)),
  encode: writeBytes,
  decode: (body, walk) => readBytes(body) ?? walk.malformed('base64 with padding'),
};

export function writeBytes(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
}

/** The bytes of canonical base64, or undefined: one value has one spelling. */
export function readBytes(body: unknown): Uint8Array | undefined {
  if (typeof body !== 'string') return undefined;
  const buffer = Buffer.from(body, 'base64');
  return buffer.toString('base64') === body ? new Uint8Array(buffer) : undefined;
}
