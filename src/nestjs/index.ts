export { ByReferenceModule } from './module.ts';
export type { ByReferenceAsyncOptions, ByReferenceModuleOptions, ByReferenceRootOptions } from './options.ts';
