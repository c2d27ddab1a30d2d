/** Line charts beside each other, both axes logarithmic, as SVG for light and dark pages. Equal data gives an equal file. */

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly panels: readonly Panel[];
  /** Lines of text below the charts. */
  readonly caption: readonly string[];
}

export interface Panel {
  readonly title: string;
  /** The text of a tick; ticks are powers of ten. */
  tick(value: number): string;
  /** The same names in the same order in each panel: at most six. */
  readonly series: readonly Series[];
}

export interface Series {
  readonly name: string;
  readonly isDashed: boolean;
  /** Positive numbers, x before y. */
  readonly points: readonly (readonly [number, number])[];
}

/** Mid-tones, told apart by colour-blind people too, and the shapes of their marks: at least 3:1 on white and on black. */
const STYLES = [
  { colour: '#4184e4', mark: 'M-4-4h8v8h-8z' },
  { colour: '#1b9e8a', mark: 'M0-5 5 4h-10z' },
  { colour: '#986ee2', mark: 'M0-5.5 5.5 0 0 5.5-5.5 0z' },
  { colour: '#a87b00', mark: 'M-4-4 4 4M4-4-4 4' },
  { colour: '#768390', mark: 'M0-5v10M-5 0h10' },
  { colour: '#db5c1e', mark: 'M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0' },
];

const CSS = `
  text { font: 13px system-ui, sans-serif; fill: #59636e; }
  .title { font-weight: 600; fill: #1f2328; }
  .caption { font-size: 12px; }
  .grid { stroke: #818b98; stroke-opacity: .3; }
  .line { fill: none; stroke-width: 2; }
  .mark { stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) { text { fill: #9198a1; } .title { fill: #d1d7e0; } }
`;

const WIDTH = 960;
const MARGIN = { left: 58, right: 22 };
const LEGEND_COLUMNS = 3;
const [LINE_HEIGHT, PLOT_HEIGHT] = [20, 240];

export function plot({ title, xLabel, panels, caption }: Plot): string {
  const series = panels[0]!.series;
  const legendTop = 52;
  const top = legendTop + LINE_HEIGHT * Math.ceil(series.length / LEGEND_COLUMNS) + 24;
  const captionTop = top + PLOT_HEIGHT + 64;
  const height = captionTop + LINE_HEIGHT * (caption.length - 1) + 12;
  const step = WIDTH / panels.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${CSS}</style>`,
    text(MARGIN.left, 20, title, ' class="title"'),
    ...series.map((one, index) => legend(one, index, legendTop)),
    ...panels.map((panel, index) => draw(panel, xLabel, index * step + MARGIN.left, top, step)),
    ...caption.map((line, index) => text(MARGIN.left, captionTop + index * LINE_HEIGHT, line, ' class="caption"')),
    '</svg>\n',
  ].join('\n');
}

function legend({ name, isDashed }: Series, index: number, top: number): string {
  const [column, row] = [index % LEGEND_COLUMNS, Math.floor(index / LEGEND_COLUMNS)];
  const [x, y] = [MARGIN.left + (column * (WIDTH - MARGIN.left)) / LEGEND_COLUMNS, top + row * LINE_HEIGHT];
  const line: readonly Point[] = [
    [x, y - 4],
    [x + 36, y - 4],
  ];
  return stroke(line, index, isDashed) + mark([x + 18, y - 4], index) + text(x + 46, y, name);
}

function draw({ title, tick, series }: Panel, xLabel: string, left: number, top: number, step: number): string {
  const width = step - MARGIN.left - MARGIN.right;
  const points = series.flatMap((one) => one.points);
  const [x, y] = [scale(points.map((point) => point[0])), scale(points.map((point) => point[1]))];
  const xAt = (value: number): number => left + width * x.at(value);
  const yAt = (value: number): number => top + PLOT_HEIGHT * (1 - y.at(value));
  return [
    text(left, top - 14, title, ' class="title"'),
    ...y.ticks.map(
      (value) =>
        grid(left, yAt(value), left + width, yAt(value)) +
        text(left - 8, yAt(value) + 4, tick(value), ' text-anchor="end"'),
    ),
    ...x.ticks.map(
      (value) =>
        grid(xAt(value), top, xAt(value), top + PLOT_HEIGHT) +
        text(xAt(value), top + PLOT_HEIGHT + 18, value.toLocaleString('en'), ' text-anchor="middle"'),
    ),
    text(left + width / 2, top + PLOT_HEIGHT + 36, xLabel, ' text-anchor="middle"'),
    ...series.map((one, index) => {
      const line = one.points.map(([px, py]): Point => [xAt(px), yAt(py)]);
      return stroke(line, index, one.isDashed) + line.map((point) => mark(point, index)).join('');
    }),
  ].join('\n');
}

/** From the power of ten below the least value to that above the greatest, on 0 to 1. */
function scale(values: readonly number[]): { at(value: number): number; readonly ticks: readonly number[] } {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => Number(`1e${first + index}`));
  return { at: (value) => (Math.log10(value) - first) / (last - first), ticks };
}

type Point = readonly [number, number];

function stroke(points: readonly Point[], index: number, isDashed: boolean): string {
  const dashes = isDashed ? ' stroke-dasharray="5 4"' : '';
  const path = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ');
  return `<polyline class="line" stroke="${STYLES[index]!.colour}"${dashes} points="${path}"/>`;
}

function mark([x, y]: Point, index: number): string {
  const { colour, mark: shape } = STYLES[index]!;
  const at = `translate(${round(x)} ${round(y)})`;
  return `<path class="mark" fill="${colour}" stroke="${colour}" transform="${at}" d="${shape}"/>`;
}

const grid = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line class="grid" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`;

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${round(x)}" y="${round(y)}"${attributes}>${escape(content)}</text>`;

const escape = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const round = (value: number): number => Math.round(value * 10) / 10;
