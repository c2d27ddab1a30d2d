/**
 * Signed entities in the routes and queries of HTTP requests.
 *
 * @module mikro-orm-byref/http
 * @packageDocumentation
 */
export { HttpError } from './http-error.ts';
export { signedEntity, type SignedEntityOptions, type SignedEntityReader } from './signed-entity.ts';
