/** Boxes on lanes with arrows between them, as SVG for light and dark pages. Equal drawings give equal files. */

export interface Drawing {
  readonly title: string;
  /** From above: the name of a lane, whose line is drawn; `# …`, a heading without boxes; or nothing, a row without a line. */
  readonly rows: readonly string[];
  readonly boxes: Readonly<Record<string, Box>>;
  readonly arrows?: readonly Arrow[];
  readonly marks?: readonly Mark[];
}

export interface Box {
  /** The index of its row. */
  readonly row: number;
  /** Pixels from the left edge of the picture, which is 720 wide. */
  readonly x: number;
  readonly width: number;
  /** One line each; what is in backticks is code. */
  readonly text: readonly string[];
  /** What it tells by its colour too, and never by that alone. */
  readonly tone?: 'good' | 'bad' | 'old' | 'token';
}

export interface Arrow {
  /** Names of boxes. */
  readonly from: string;
  readonly to: string;
  readonly text?: string;
  /** Pixels from the left edge, where it goes up or down; by default it is straight. */
  readonly through?: number;
}

/** A moment: a broken line down some rows, its text above it. */
export interface Mark {
  readonly x: number;
  readonly rows: readonly [first: number, last: number];
  readonly text: string;
}

/** What all pictures look like. Colours are those of GitHub's pages, with which the text keeps 4.5:1 on all of them. */
const CSS = `
  text { font: 14px system-ui, sans-serif; fill: #1f2328; }
  .code { font: 13px ui-monospace, monospace; }
  .heading { font-weight: 600; }
  .note { font-size: 13px; fill: #59636e; }
  .lane { stroke: #818b98; stroke-opacity: .5; }
  .mark { stroke: #59636e; stroke-dasharray: 4 4; }
  .arrow { fill: none; stroke: #59636e; stroke-width: 1.5; }
  .head { fill: #59636e; }
  rect { fill: #f6f8fa; stroke: #818b98; }
  .good { fill: #dafbe1; stroke: #1a7f37; }
  .bad { fill: #ffebe9; stroke: #cf222e; }
  .old { fill: #fff8c5; stroke: #9a6700; }
  .token { fill: #ddf4ff; stroke: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d1d7e0; }
    .note { fill: #9198a1; }
    .mark, .arrow { stroke: #9198a1; }
    .head { fill: #9198a1; }
    rect { fill: #262c36; stroke: #656c76; }
    .good { fill: #12261e; stroke: #3fb950; }
    .bad { fill: #321c20; stroke: #f85149; }
    .old { fill: #2f2713; stroke: #d29922; }
    .token { fill: #15243b; stroke: #4493f8; }
  }
`;

export const WIDTH = 720;
const LINE_HEIGHT = 19;
const HEADING_HEIGHT = 40;
const GAP = 30;
const LABEL = 4;

/** Where a row begins and ends; its boxes are that high. */
interface Span {
  readonly top: number;
  readonly bottom: number;
}

export function draw({ title, rows, boxes, arrows = [], marks = [] }: Drawing): string {
  const spans = spansOf(rows, Object.values(boxes), marks);
  const placed = (name: string): Placed => ({ ...boxes[name]!, ...spans[boxes[name]!.row]! });
  return svg(title, spans.at(-1)!.bottom + 4, [
    ...rows.flatMap((row, index) => drawRow(row, spans[index]!, startOf(index, Object.values(boxes)))),
    ...marks.map((mark) => drawMark(mark, spans)),
    ...arrows.map((arrow) => drawArrow(arrow, placed(arrow.from), placed(arrow.to))),
    ...Object.keys(boxes).map((name) => drawBox(placed(name))),
  ]);
}

/** A picture of `height` pixels. */
export function svg(title: string, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${CSS}</style>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** One below the other, with room for what is written between them. */
function spansOf(rows: readonly string[], boxes: readonly Box[], marks: readonly Mark[]): Span[] {
  let top = 4;
  return rows.map((row, index) => {
    if (marks.some(({ rows: [first] }) => first === index)) top += LINE_HEIGHT;
    const lines = Math.max(1, ...boxes.filter((box) => box.row === index).map(({ text }) => text.length));
    const isHeading = row.startsWith('# ');
    const span = { top, bottom: top + (isHeading ? HEADING_HEIGHT - LINE_HEIGHT : lines * LINE_HEIGHT + 12) };
    top = span.bottom + (isHeading ? 10 : GAP);
    return span;
  });
}

type Placed = Box & Span;

/** Where the line of a row begins: before its first box. */
const startOf = (row: number, boxes: readonly Box[]): number =>
  Math.min(...boxes.filter((box) => box.row === row).map(({ x }) => x - 12));

function drawRow(row: string, { top, bottom }: Span, start: number): string[] {
  const middle = (top + bottom) / 2;
  if (row.startsWith('# ')) return [text(LABEL, middle + 5, row.slice(2), 'heading')];
  if (row === '') return [];
  const line = `<line class="lane" x1="${start}" y1="${middle}" x2="${WIDTH - 2}" y2="${middle}"/>`;
  return [text(LABEL, middle + 5, row, 'note'), line];
}

function drawBox({ x, width, top, bottom, text: lines, tone }: Placed): string {
  const tint = tone === undefined ? '' : ` class="${tone}"`;
  const rect = `<rect${tint} x="${x}" y="${top}" width="${width}" height="${bottom - top}" rx="5"/>`;
  const first = (top + bottom - (lines.length - 1) * LINE_HEIGHT) / 2 + 5;
  const centre = x + width / 2;
  return [rect, ...lines.map((line, index) => text(centre, first + index * LINE_HEIGHT, line, '', 'middle'))].join(
    '\n',
  );
}

function drawMark({ x, rows: [first, last], text: label }: Mark, spans: readonly Span[]): string {
  const [top, bottom] = [spans[first]!.top - 4, spans[last]!.bottom + 4];
  const line = `<line class="mark" x1="${x}" y1="${top}" x2="${x}" y2="${bottom}"/>`;
  return `${line}\n${text(x, top - 6, label, 'note', 'middle')}`;
}

type Point = readonly [x: number, y: number];

function drawArrow({ text: label, through }: Arrow, from: Placed, to: Placed): string {
  const points = through === undefined ? straight(from, to) : around(from, to, through);
  const path = points.map(([x, y]) => `${x},${y}`).join(' ');
  const line = `<polyline class="arrow" points="${path}"/>\n${head(points.at(-2)!, points.at(-1)!)}`;
  if (label === undefined) return line;
  const [[x1, y1], [x2, y2]] = [points[0]!, points[1]!];
  const isLevel = y1 === y2;
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return `${line}\n${isLevel ? text(x, y - 6, label, 'note', 'middle') : text(x + 8, y + 4, label, 'note')}`;
}

/** From edge to edge: level within a row, else down or up in the middle of what both are above and below. */
function straight(from: Placed, to: Placed): Point[] {
  const isForth = from.x < to.x;
  if (from.row === to.row) {
    const y = (from.top + from.bottom) / 2;
    return [
      [isForth ? from.x + from.width : from.x, y],
      [isForth ? to.x : to.x + to.width, y],
    ];
  }
  const x = (Math.max(from.x, to.x) + Math.min(from.x + from.width, to.x + to.width)) / 2;
  const isDown = from.row < to.row;
  return [
    [x, isDown ? from.bottom : from.top],
    [x, isDown ? to.top : to.bottom],
  ];
}

/** Out by the side where `x` is, along `x`, and in by the side where it is. */
function around(from: Placed, to: Placed, x: number): Point[] {
  const side = (box: Placed): Point => [x < box.x ? box.x : box.x + box.width, (box.top + box.bottom) / 2];
  const [start, end] = [side(from), side(to)];
  return [start, [x, start[1]], [x, end[1]], end];
}

function head([x1, y1]: Point, [x2, y2]: Point): string {
  const degrees = Math.round((Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI);
  return `<path class="head" transform="translate(${x2} ${y2}) rotate(${degrees})" d="M0 0-9-4.5v9z"/>`;
}

/** A line of text; what is in backticks is code, whose spaces stay. */
export function text(x: number, y: number, content: string, style: string, anchor?: 'middle'): string {
  const attributes = `${style && ` class="${style}"`}${anchor === undefined ? '' : ` text-anchor="${anchor}"`}`;
  const parts = content
    .split('`')
    .map((part, index) =>
      index % 2 === 0 ? escape(part) : `<tspan class="code">${escape(part).replaceAll(' ', '\u00A0')}</tspan>`,
    );
  return `<text x="${x}" y="${y}"${attributes}>${parts.join('')}</text>`;
}

const escape = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
