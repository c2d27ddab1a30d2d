import { svg, text } from './drawing.ts';

/** What a terminal shows, with notes: each stands beside the first line that begins with its text. */
export interface Terminal {
  readonly title: string;
  readonly lines: readonly string[];
  readonly notes: Readonly<Record<string, string>>;
}

const LINE_HEIGHT = 19;
const PADDING = 16;

export function drawTerminal({ title, lines, notes }: Terminal): string {
  const at = (index: number): number => PADDING + 14 + index * LINE_HEIGHT;
  const height = lines.length * LINE_HEIGHT + 2 * PADDING;
  return svg(title, height, [
    `<rect x="1" y="1" width="718" height="${height - 2}" rx="8"/>`,
    ...lines.map((line, index) => text(PADDING, at(index), `\`${line}\``, '')),
    ...Object.entries(notes).map(([start, note]) => {
      const index = lines.findIndex((line) => line.trimStart().startsWith(start));
      return text(460, at(index), `← ${note}`, 'note');
    }),
  ]);
}
