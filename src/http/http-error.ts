/** What a client is told of a parameter that is refused, and no more; the reason is the `cause`. */
export class HttpError extends Error {
  /** The class of the error, for logs. */
  override readonly name = 'HttpError';
  /** The HTTP status, as Fastify and Express read it. */
  readonly statusCode: 403 | 404;
  /** The same, as other servers read it. */
  readonly status: 403 | 404;

  /** @internal */
  constructor(status: 403 | 404, cause: unknown) {
    super(status === 404 ? 'Not Found' : 'Forbidden', { cause });
    this.statusCode = status;
    this.status = status;
  }
}
