/**
 * A module for Nest: the serializer, tasks, and the queues of `@nestjs/bullmq`.
 *
 * @module mikro-orm-byref/nestjs
 * @packageDocumentation
 */
export { ByReferenceModule } from './module.ts';
export type { ByReferenceAsyncOptions, ByReferenceModuleOptions, ByReferenceRootOptions } from './options.ts';
