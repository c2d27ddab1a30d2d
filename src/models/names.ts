import type { EntityMetadata } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { declaredNameOf } from './mark.ts';

/** What is asked of a model here. */
interface NamedModel {
  readonly name: string;
  readonly class: { readonly name: string };
  readonly metadata: EntityMetadata;
}

/** Throws E_INVALID_OPTION with all models whose name is only that of their class. */
export function refuseUnnamed(models: Iterable<NamedModel>): void {
  const unnamed = [...models].filter(({ metadata }) => declaredNameOf(metadata) === undefined);
  if (unnamed.length > 0) throw ByReferenceError.unnamedModels(namesOf(unnamed));
}

/**
 * What bundlers call classes: `e`, `Zt`, `r2`, `aBc`, and `User$1` where two modules have a `User`. Short names that
 * people choose are words with a capital, as `Tag`; of one letter or two they are few.
 */
const MINIFIED = /^(?:[\w$]{1,2}|[a-z_$][\w$]{2}|.*\$.*)$/;

/**
 * Warns of names that the next build may give to other classes: payloads of this one would then be read as rows of
 * another table. A name that was written down is none of them: a declared one, or one that is not its class's.
 */
export function warnOfMinified(models: Iterable<NamedModel>): void {
  const minified = [...models].filter(
    ({ metadata, class: cls }) =>
      declaredNameOf(metadata) === undefined && metadata.className === cls.name && MINIFIED.test(cls.name),
  );
  if (minified.length === 0) return;
  process.emitWarning(
    `The names of these models look minified: ${namesOf(minified).join(', ')}. The next build may give them to other classes, and payloads that are waiting then name other rows; give each model a name of its own with @ByReference({ name }), or have the bundler keep class names. requireNames: true makes this an error.`,
    { type: 'ByReferenceWarning', code: 'BYREF_MINIFIED_NAMES' },
  );
}

const namesOf = (models: readonly NamedModel[]): string[] => models.map(({ name }) => name).sort();
