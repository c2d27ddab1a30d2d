/** For processes that tests start: what the folder has installed is imported from there. */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { folder, isOwn, nameThere } from './packages.js';

const repository = new URL('../../', import.meta.url).href;
const importer = pathToFileURL(join(folder, 'package.json')).href;

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL = '' } = context;
    const name = parentURL.startsWith(repository) && isOwn(parentURL) ? nameThere(specifier) : undefined;
    return name === undefined ? next(specifier, context) : next(name, { ...context, parentURL: importer });
  },
});
