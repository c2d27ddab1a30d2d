/** Whether every element is closed in its turn, and no `<` or `&` stands bare. */
export function isWellFormed(xml: string): boolean {
  const open: string[] = [];
  for (const [, closing, name, empty] of xml.matchAll(/<(\/?)([a-z]+)(?: [\w:-]+="[^"<]*")*(\/?)>/g)) {
    if (closing === '/' && open.pop() !== name) return false;
    if (closing === '' && empty === '') open.push(name!);
  }
  const text = xml.replaceAll(/<\/?[a-z]+(?: [\w:-]+="[^"<]*")*\/?>/g, '');
  return open.length === 0 && !/<|&(?!amp;|lt;|gt;)/.test(text);
}
