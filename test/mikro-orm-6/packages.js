import manifest from './package.json' with { type: 'json' };

/** What MikroORM 6 has elsewhere. libSQL is the SQLite whose package holds its binaries. */
const ALIASES = { '@mikro-orm/decorators/legacy': '@mikro-orm/core', '@mikro-orm/sqlite': '@mikro-orm/libsql' };
const PACKAGES = ['@mikro-orm', 'mikro-orm-byref', ...Object.keys(manifest.dependencies)];

/** The name of a module where this folder's node_modules must have it; undefined where the repository's are taken. */
export function nameHere(specifier) {
  const name = ALIASES[specifier] ?? specifier;
  return PACKAGES.some((prefix) => name === prefix || name.startsWith(`${prefix}/`)) ? name : undefined;
}

/** Whether a file, given by its path or URL, is the repository's own and not of a package. */
export const isOwn = (file) => !file.includes('/node_modules/');
