import { ForbiddenException, Inject, mixin, NotFoundException, type PipeTransform, type Type } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { EntitySerializer } from '../entity-serializer.ts';
import { HttpError } from '../http/http-error.ts';
import { signedEntity, type SignedEntityOptions, type SignedEntityReader } from '../http/signed-entity.ts';
import type { EntityOf, EntityType } from '../orm/entity-class.ts';

/**
 * A pipe for a parameter that `serializer.sign(entity, { purpose })` has made:
 * `@Param('token', SignedEntityPipe(User, { purpose: 'unsubscribe' })) user: User`, and so for `@Query`.
 *
 * ForbiddenException for what was not signed for this purpose, has expired, or names a row of another model or tenant;
 * NotFoundException for a row that is gone or refused by `authorize`, which needs a controller per request, as all that
 * asks Nest for the request does.
 */
export function SignedEntityPipe<const Model extends EntityType, Request = unknown>(
  model: Model,
  options: SignedEntityOptions<Request>,
): Type<PipeTransform<unknown, Promise<EntityOf<Model>>>> {
  class SignedEntity implements PipeTransform<unknown, Promise<EntityOf<Model>>> {
    readonly #read: SignedEntityReader<EntityOf<Model>, Request>;
    readonly #request: Request;

    constructor(serializer: EntitySerializer, request?: Request) {
      this.#read = signedEntity(serializer, model, options);
      this.#request = request as Request;
    }

    async transform(parameter: unknown): Promise<EntityOf<Model>> {
      try {
        return await this.#read(parameter, this.#request);
      } catch (error) {
        throw asException(error);
      }
    }
  }
  Inject(EntitySerializer)(SignedEntity, undefined, 0);
  if (options?.authorize !== undefined) Inject(REQUEST)(SignedEntity, undefined, 1);
  return mixin(SignedEntity);
}

function asException(cause: unknown): unknown {
  if (!(cause instanceof HttpError)) return cause;
  const { status, message } = cause;
  return status === 404 ? new NotFoundException(message, { cause }) : new ForbiddenException(message, { cause });
}
