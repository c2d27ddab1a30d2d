import { ByReferenceError } from '../errors.ts';
import { makeDto } from './check-dto.ts';
import type { PlainClass } from './shape.ts';
import { type AnyUpgrade, upgraded } from './upgrade.ts';

export { checkDto } from './check-dto.ts';

/**
 * Data as an instance of a class: of the newest shape that it fits, and upgraded from there once its rows are known.
 * `read` decodes by one class. Throws what the class of now refuses the data with.
 */
export function decodeAs<Decoded extends { fill(): unknown }>(
  as: PlainClass,
  upgrades: readonly AnyUpgrade[],
  read: (cls: PlainClass) => Decoded,
): Decoded {
  let refusal: unknown;
  for (const [age, cls] of [as, ...upgrades.map(({ from }) => from)].entries()) {
    try {
      const decoded = read(cls);
      return { ...decoded, fill: () => upgraded(makeDto(cls, decoded.fill()), upgrades.slice(0, age)) };
    } catch (error) {
      if (!isOfAnotherShape(error)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}

const isOfAnotherShape = (error: unknown): boolean => error instanceof ByReferenceError && error.code === 'E_MALFORMED';
