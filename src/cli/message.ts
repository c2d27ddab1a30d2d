/** What an error says. A connection that is refused at several addresses says so in its parts only. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  const { message, code } = error as Partial<Error & { code: string }>;
  return message || code || String(error);
}
