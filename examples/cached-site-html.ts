/** The pages of the cached site, rendered on the server. Nothing of a visitor gets into them but through `escape`. */
import type { CacheStats } from 'mikro-orm-byref/cache';

export interface HomePage {
  readonly comments: readonly { readonly author: string; readonly text: string; readonly at: Date }[];
  readonly total: number;
  readonly madeAt: Date;
}

/** What the cache did in one second. */
export type Sample = Pick<CacheStats, 'hits' | 'stale' | 'misses'>;

export const escape = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const layout = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933; }
  nav a { margin-right: 1rem; }
  article { border-left: 3px solid #cbd2d9; margin: 1rem 0; padding-left: 1rem; }
  article p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
  small { color: #52606d; }
  label { display: block; margin-top: .75rem; font-weight: 600; }
  input, textarea { box-sizing: border-box; width: 100%; padding: .5rem; font: inherit; border: 1px solid #7b8794; border-radius: 4px; }
  button { margin-top: .75rem; padding: .5rem 1rem; font: inherit; border: 0; border-radius: 4px; background: #0b5394; color: #fff; }
  table { border-collapse: collapse; } th, td { padding: .25rem 1rem .25rem 0; text-align: left; }
  td { font-variant-numeric: tabular-nums; text-align: right; }
</style>
<nav aria-label="Pages"><a href="/">Comments</a><a href="/stats">Cache statistics</a></nav>
<main>
<h1>${title}</h1>
${body}
</main>
</html>
`;

const time = (date: Date): string =>
  `<time datetime="${date.toISOString()}">${date.toISOString().slice(0, 19).replace('T', ' ')} UTC</time>`;

export function homePage({ comments, total, madeAt }: HomePage): string {
  const articles = comments.map(
    ({ author, text, at }) => `<article><p>${escape(text)}</p><small>${escape(author)}, ${time(at)}</small></article>`,
  );
  return layout(
    'Latest comments',
    `<p><small>${total} comments in all; this list was made at ${time(madeAt)} and is kept for an hour, or until the next comment.</small></p>
${articles.join('\n') || '<p>No comments yet.</p>'}
<h2>Write one</h2>
<form method="post" action="/comments">
  <label for="author">Your name</label>
  <input id="author" name="author" required maxlength="80" autocomplete="name">
  <label for="text">Your comment</label>
  <textarea id="text" name="text" required maxlength="2000" rows="4"></textarea>
  <button>Post comment</button>
</form>`,
  );
}

export const messagePage = (message: string): string =>
  layout(escape(message), '<p><a href="/">Back to the comments</a></p>');

/** The kinds of answers, each told from the others by lightness too, not by hue alone. */
const SERIES = [
  { name: 'hits', label: 'Hits', color: '#9fc5e8' },
  { name: 'stale', label: 'Stale, refreshed behind', color: '#e69138' },
  { name: 'misses', label: 'Misses', color: '#741b47' },
] as const;

export function statsPage(stats: CacheStats, samples: readonly Sample[]): string {
  const rows = Object.entries(stats).map(([name, count]) => `<tr><th scope="row">${name}</th><td>${count}</td></tr>`);
  return layout(
    'Cache statistics',
    `${chart(samples)}
<h2>Since the start</h2>
<table><tbody>${rows.join('')}</tbody></table>`,
  );
}

/** Stacked bars, one per second; the last one is the running second. */
function chart(samples: readonly Sample[]): string {
  const [left, right, top, bottom, width, height] = [48, 12, 44, 48, 700, 320];
  const [plotWidth, plotHeight] = [width - left - right, height - top - bottom];
  const most = Math.max(4, ...samples.map((sample) => sample.hits + sample.stale + sample.misses));
  const step = Math.ceil(most / 4);
  const y = (count: number): number => top + plotHeight - (count / (step * 4)) * plotHeight;
  const band = plotWidth / samples.length;
  const bars = samples.flatMap((sample, index) => {
    let below = 0;
    return SERIES.filter(({ name }) => sample[name] > 0).map(({ name, label, color }) => {
      const from = below;
      below += sample[name];
      const [barTop, barHeight] = [y(below), y(from) - y(below)];
      const second = samples.length - 1 - index;
      return `<rect data-series="${name}" x="${(left + index * band).toFixed(1)}" y="${barTop.toFixed(1)}" width="${(band * 0.8).toFixed(1)}" height="${barHeight.toFixed(1)}" fill="${color}"><title>${label}: ${sample[name]}, ${second} s ago</title></rect>`;
    });
  });
  const lines = [0, 1, 2, 3, 4].map((tick) => {
    const at = y(tick * step).toFixed(1);
    return `<line x1="${left}" x2="${width - right}" y1="${at}" y2="${at}" stroke="#cbd2d9"/><text x="${left - 8}" y="${at}" text-anchor="end" dominant-baseline="middle">${tick * step}</text>`;
  });
  const seconds = [60, 45, 30, 15, 0].map((ago) => {
    const at = (left + (1 - ago / samples.length) * plotWidth).toFixed(1);
    return `<text x="${at}" y="${height - bottom + 18}" text-anchor="${ago === 0 ? 'end' : 'middle'}">${ago === 0 ? 'now' : `-${ago}`}</text>`;
  });
  const legend = SERIES.map(({ label, color }, index) => {
    const x = left + [0, 90, 300][index]!;
    return `<rect x="${x}" y="12" width="14" height="14" fill="${color}" stroke="#52606d"/><text x="${x + 20}" y="24">${label}</text>`;
  });
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="chart-title chart-description" font-size="13" fill="#1f2933">
<title id="chart-title">Answers of the cache in the last minute</title>
<desc id="chart-description">Stacked bars: hits, stale answers and misses per second.</desc>
${legend.join('\n')}
${lines.join('\n')}
${bars.join('\n')}
${seconds.join('\n')}
<text x="${left + plotWidth / 2}" y="${height - 8}" text-anchor="middle">Seconds</text>
<text transform="translate(14 ${top + plotHeight / 2}) rotate(-90)" text-anchor="middle">Requests per second</text>
</svg>`;
}
