/** For processes that tests start: whatever this repository imports of MikroORM and of this package is what is here. */
import { registerHooks } from 'node:module';

const repository = new URL('../../', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const isOurs =
      /^(?:@mikro-orm|mikro-orm-byref)(?:\/|$)/.test(specifier) && context.parentURL?.startsWith(repository);
    return next(specifier, isOurs ? { ...context, parentURL: import.meta.url } : context);
  },
});
