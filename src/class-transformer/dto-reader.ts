import { ByReferenceError } from '../errors.ts';
import type { checkDto, decodeAs } from './decode-as.ts';

/** What the option `as` needs. */
export interface DtoReader {
  readonly checkDto: typeof checkDto;
  readonly decodeAs: typeof decodeAs;
}

const READER = Symbol.for('mikro-orm-byref.dto-reader');

/** Of the process, so that the root names no optional package, and finds the reader where a bundle has two copies. */
const provided = globalThis as { [READER]?: DtoReader };

/** What `mikro-orm-byref/class-transformer` does when it is imported. */
export function provideDtoReader(reader: DtoReader): void {
  provided[READER] = reader;
}

/** Throws E_INVALID_OPTION where nobody has imported it. */
export function dtoReaderFor(cls: new () => object): DtoReader {
  const reader = provided[READER];
  if (reader !== undefined) return reader;
  const expected = 'mikro-orm-byref/class-transformer, which reads DTOs, to be imported';
  throw ByReferenceError.invalidOption('option as', expected, cls);
}
