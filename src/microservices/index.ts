/**
 * Entities in the messages of `@nestjs/microservices`: a serializer and a deserializer for servers and clients, and the
 * interceptor that hands the rows to handlers.
 *
 * @module mikro-orm-byref/microservices
 * @packageDocumentation
 */
export { ByReferenceInterceptor } from './interceptor.ts';
export { messagesByReference, type MessagePairs, type TransportPair } from './messages.ts';
export type { MessageOptions } from './options.ts';
