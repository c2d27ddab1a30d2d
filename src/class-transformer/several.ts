import type { Several } from '../models/reference-property.ts';
import type { ShapeProperty } from './shape.ts';

/** What several are in, or false for one: by the declaration, the initial value, or the compiler's metadata. */
export function severalOf(
  { name, type, each }: ShapeProperty,
  initial: Readonly<Record<string, unknown>>,
): Several | undefined {
  if (each !== undefined) return each;
  const reflected: unknown = type?.reflectedType;
  for (const [cls, several] of CONTAINERS) {
    if (reflected === cls || initial[name] instanceof (cls as typeof Array)) return several;
  }
  return typeof reflected === 'function' && reflected !== Object ? false : undefined;
}

const CONTAINERS: readonly (readonly [unknown, Several])[] = [
  [Array, true],
  [Set, 'set'],
  [Map, 'map'],
];
