/** For the tests themselves: what this folder has installed is imported from here. */
import { isOwn, nameHere } from './packages.js';

export function sync(request, options) {
  const name = isOwn(`${options.basedir}/`) ? nameHere(request) : undefined;
  return name === undefined
    ? options.defaultResolver(request, options)
    : options.defaultResolver(name, { ...options, basedir: import.meta.dirname });
}
