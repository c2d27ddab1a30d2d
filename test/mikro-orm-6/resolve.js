/** For processes that tests start: what this folder has installed is imported from here. */
import { registerHooks } from 'node:module';
import { isOwn, nameHere } from './packages.js';

const repository = new URL('../../', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL = '' } = context;
    const name = parentURL.startsWith(repository) && isOwn(parentURL) ? nameHere(specifier) : undefined;
    return name === undefined ? next(specifier, context) : next(name, { ...context, parentURL: import.meta.url });
  },
});
