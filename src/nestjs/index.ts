/**
 * A module for Nest: the serializer, tasks, the queues of `@nestjs/bullmq`, and a pipe for signed parameters.
 *
 * @module mikro-orm-byref/nestjs
 * @packageDocumentation
 */
export { CommittedEvents, type DefinedEvent, type PublishOptions } from './committed-events.ts';
export { ByReferenceHealth, type Health, type HealthOptions } from './health.ts';
export { ByReferenceModule } from './module.ts';
export { Revive } from './revive.ts';
export { SignedEntityPipe } from './signed-entity-pipe.ts';
export type {
  ByReferenceAsyncOptions,
  ByReferenceModuleOptions,
  ByReferenceOptionsFactory,
  ByReferenceRootOptions,
} from './options.ts';
