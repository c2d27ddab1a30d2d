/** For the tests themselves: what the folder has installed is imported from there. */
import { folder, isOwn, nameThere } from './packages.js';

export function sync(request, options) {
  const name = isOwn(`${options.basedir}/`) ? nameThere(request) : undefined;
  return name === undefined
    ? options.defaultResolver(request, options)
    : options.defaultResolver(name, { ...options, basedir: folder });
}
