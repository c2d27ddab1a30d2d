import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { messageIn } from './message.ts';

/**
 * Gives the handlers of a controller the current rows of what a server with `messagesByReference` receives, in an
 * EntityManager and request context of the message's own: `@UseInterceptors(ByReferenceInterceptor)`. Anything else
 * passes as it is. Interceptors that come after it, pipes and the handler see the rows.
 */
export class ByReferenceInterceptor implements NestInterceptor {
  /** Nest’s to call. */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const args = context.getArgs<unknown[]>();
    const message = messageIn(args[0]);
    if (message === undefined) return next.handle() as Observable<unknown>;
    return message.handle((data) => {
      args[0] = data;
      return next.handle() as Observable<unknown>;
    });
  }
}

Injectable()(ByReferenceInterceptor);
