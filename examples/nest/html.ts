/** Markup, which is not escaped again. */
export class Html {
  constructor(readonly text: string) {}
}

/** Markup of a template, its values escaped. */
export function html(parts: TemplateStringsArray, ...values: readonly unknown[]): Html {
  return new Html(String.raw({ raw: parts }, ...values.map(asText)));
}

function asText(value: unknown): string {
  if (Array.isArray(value)) return value.map(asText).join('');
  if (value instanceof Html) return value.text;
  return String(value ?? '').replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = new Html(`<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933; }
  nav a { margin-right: 1rem; } small { color: #52606d; }
  table { border-collapse: collapse; width: 100%; } td, th { padding: .25rem .75rem .25rem 0; text-align: left; }
  label { display: block; margin-top: .5rem; } input, select, button { font: inherit; padding: .25rem .5rem; }
</style>`);

export function page(title: string, body: Html): string {
  const document = html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <link rel="icon" href="data:," />
      <title>${title}</title>
      ${STYLE}
      <nav aria-label="Pages">
        <a href="/">Shop</a><a href="/mails">Mails</a><a href="/cache">Cache</a><a href="/board">Bull Board</a>
      </nav>
      <main>
        <h1>${title}</h1>
        ${body}
      </main>
    </html>`;
  return document.text;
}
