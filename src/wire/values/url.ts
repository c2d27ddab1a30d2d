import type { ValueType } from './value-type.ts';

/** `{"$url":"https://example.org/"}` (WHATWG URL, its `href`). */
export const url: ValueType<URL> = {
  tag: '$url',
  // URL has no brand in util.types; a look-alike of another realm still needs an href that parses to itself.
  matches: (value) =>
    Object.prototype.toString.call(value) === '[object URL]' && readUrl((value as URL).href) !== undefined,
  encode: (value) => value.href,
  decode: (body, walk) => readUrl(body) ?? walk.malformed('an absolute URL in its normal form'),
};

function readUrl(body: unknown): URL | undefined {
  if (typeof body !== 'string' || !URL.canParse(body)) return undefined;
  const value = new URL(body);
  return value.href === body ? value : undefined;
}
