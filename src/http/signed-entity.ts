import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError, type ErrorCode } from '../errors.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { checkVerifyOptions, type VerifyOptions } from '../options.ts';
import type { EntityOf, EntityType } from '../orm/entity-class.ts';
import type { EntityToken } from '../wire/token.ts';
import { HttpError } from './http-error.ts';

/** What a signed parameter is for, and how its row is read. */
export interface SignedEntityOptions<Request = unknown> extends Omit<VerifyOptions, 'only' | 'em' | 'authorize'> {
  /**
   * Whether the request may have the row, also one that `populate` brings. A refused one looks exactly like a missing
   * one. The entity is of an EntityManager of its own.
   * @defaultValue any request may
   */
  readonly authorize?: (entity: AnyEntity, request: Request, token: EntityToken) => boolean | Promise<boolean>;
}

/** The current row behind a parameter of a request, in the EntityManager of its request context. */
export type SignedEntityReader<Entity, Request = unknown> = (parameter: unknown, request: Request) => Promise<Entity>;

/**
 * What reads a parameter that `serializer.sign(entity, { purpose })` has made, for Express and Fastify alike:
 *
 * ```ts
 * const subscriber = signedEntity(serializer, User, { purpose: 'unsubscribe' });
 * app.get('/unsubscribe/:token', async (request, response) => {
 *   const user = await subscriber(request.params.token, request);
 * ```
 *
 * The reader rejects with an HttpError that both answer by its status: 403 for what was not signed for this purpose,
 * has expired, or names a row of another model or tenant; 404 for a row that is gone or refused by `authorize`. Other
 * errors pass through as they are.
 * @throws E_INVALID_OPTION.
 */
export function signedEntity<const Model extends EntityType, Request = unknown>(
  serializer: EntitySerializer,
  model: Model,
  options: SignedEntityOptions<Request>,
): SignedEntityReader<EntityOf<Model>, Request> {
  const { authorize, purpose, ...others } = options ?? {};
  checkVerifyOptions(others);
  const only = [model] as const;
  serializer.refuseWrongOptions({
    ...others,
    only,
    signed: { purpose },
    ...(authorize && { authorize: authorize as never }),
  });
  return async (parameter, request) => {
    const asked = authorize && {
      authorize: (entity: AnyEntity, token: EntityToken) => authorize(entity, request, token),
    };
    try {
      return await serializer.verify(parameter as string, { ...others, ...asked, purpose, only });
    } catch (error) {
      throw refused(error);
    }
  };
}

const FORBIDDEN: ReadonlySet<ErrorCode> = new Set([
  'E_BAD_SIGNATURE',
  'E_EXPIRED',
  'E_MODEL_NOT_ALLOWED',
  'E_UNKNOWN_MODEL',
  'E_SCHEMA_NOT_ALLOWED',
  'E_WRONG_TENANT',
  'E_NO_TENANT',
  'E_MISSING_TENANT',
]);

function refused(error: unknown): unknown {
  if (!(error instanceof ByReferenceError)) return error;
  if (error.code === 'E_ENTITY_NOT_FOUND') return new HttpError(404, error);
  return FORBIDDEN.has(error.code) ? new HttpError(403, error) : error;
}
