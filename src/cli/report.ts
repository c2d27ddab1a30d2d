import type { ByReferenceError } from '../errors.ts';
import { clipped, printable } from '../text.ts';
import type { JsonValue } from '../wire/json.ts';
import type { Finding } from './input.ts';
import type { RowState, RowStates, ShownRow } from './rows.ts';

/** What there is to say. */
export interface Inspection {
  readonly findings: readonly Finding[];
  /** Set where rows were asked for and read. */
  readonly rows?: RowStates;
  /** What kept the rows from being read. */
  readonly failure?: string;
}

/** Plain aligned text. */
export function textReport({ findings, rows }: Inspection): string {
  // A row is printed once, however many tokens name it.
  const printed = new Set<ShownRow>();
  const sections = findings.map((finding) => [
    heading(finding),
    ...tokenLines(finding, rows, printed),
    ...indented('Tags', tagLines(finding)),
    ...indented('Payload problems', problemLines(finding)),
  ]);
  return sections.map(printedLines).join('\n');
}

function heading({ path, kind, report }: Finding): string {
  const { version, signed, purpose, expiresAt } = report;
  const format = kind === 'token' ? 'Token' : version === undefined ? 'No payload' : `Payload of format ${version}`;
  const place = `${format} at ${clipped(path)}`;
  if (!signed) return `${place}, not signed`;
  const claims = [
    purpose === undefined ? '' : ` for ${clipped(JSON.stringify(purpose))}`,
    expiresAt === undefined ? '' : ` until ${expiresAt.toISOString()}`,
  ];
  return `${place}, signed${claims.join('')} (signature not verified)`;
}

function tokenLines({ report }: Finding, rows: RowStates | undefined, printed: Set<ShownRow>): string[] {
  const cells = report.tokens.map(({ path, token }) => {
    const [model, key, details] = token.toBody();
    return [path, model as string, JSON.stringify(key), ...(details === undefined ? [] : [JSON.stringify(details)])];
  });
  const lines = aligned(cells);
  const detailed = report.tokens.flatMap(({ token }, index) => {
    const line = lines[index]!;
    const state = rows?.get(token.toString());
    return state === undefined ? [line] : [line, ...stateLines(state, printed).map((text) => `  ${text}`)];
  });
  return indented('Tokens', detailed);
}

function stateLines(state: RowState, printed: Set<ShownRow>): string[] {
  const { row, error } = state;
  if (row === undefined)
    return [error!.code === 'E_ENTITY_NOT_FOUND' ? MISSING : `${error!.code}: ${messageOf(error!)}`];
  const first = `row of ${row.model}${driftText(state)}`;
  if (printed.has(row)) return [`${first}, printed above`];
  printed.add(row);
  const properties = Object.entries(row.properties).map(([name, value]) => [name, JSON.stringify(value)]);
  const omitted = row.omitted.map((name) => [name, '(has no wire form)']);
  return [first, ...aligned([...properties, ...omitted]).map((line) => `  ${line}`)];
}

/** Each token has been read as a payload of its own, where its path was this one. */
const messageOf = ({ message }: ByReferenceError): string => message.replace(' at $', '');

const MISSING = 'missing: there is no such row, or a filter hides it';

function driftText({ drift, current }: RowState): string {
  if (drift === undefined) return '';
  if (drift === 'same') return ', version as in the token';
  const meaning = drift === 'older' ? ': not visible yet, or a replica lags behind' : '';
  const version = current === undefined ? '' : `, version ${JSON.stringify(current)} now`;
  return `, ${drift} than the token${version}${meaning}`;
}

const tagLines = ({ report }: Finding): string[] =>
  aligned(Object.entries(report.tags).map(([tag, count]) => [tag, String(count)]));

const problemLines = ({ report }: Finding): string[] =>
  aligned(
    report.problems.map(({ path, code, message }) => [path, code, message]),
    500,
  );

const indented = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [`${title}: none`] : [`${title}:`, ...lines.map((line) => `  ${line}`)];

/** Rows of cells in columns. Cells are made printable first: an escape is wider than what it stands for. */
export function aligned(rows: readonly (readonly string[])[], longest?: number): string[] {
  const cells = rows.map((row) => row.map((cell) => printable(clipped(cell, longest))));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

/** For programs: the same, nothing shortened. */
export function jsonReport({ findings, rows, failure }: Inspection): string {
  const payloads = findings.map(({ path, kind, report }) => ({
    path,
    kind,
    version: report.version,
    signed: report.signed,
    signatureVerified: report.signed ? false : undefined,
    purpose: report.purpose,
    expiresAt: report.expiresAt,
    tokens: report.tokens.map(({ path: at, token }) => {
      const [model, primaryKey, details] = token.toBody();
      return { path: at, model, primaryKey, ...(details as object), ...jsonState(rows?.get(token.toString())) };
    }),
    tags: report.tags,
    problems: report.problems,
  }));
  return printedJson({ payloads, failure });
}

function jsonState(state: RowState | undefined): { readonly [name: string]: JsonValue | undefined } {
  if (state === undefined) return {};
  const { row, drift, current, error } = state;
  return {
    row: row === undefined ? null : row.properties,
    rowModel: row?.model,
    omitted: row === undefined || row.omitted.length === 0 ? undefined : row.omitted,
    drift,
    current,
    problem: error === undefined ? undefined : { code: error.code, message: messageOf(error) },
  };
}

/** Lines as a terminal may show them. */
export const printedLines = (lines: readonly string[]): string => `${lines.map(printable).join('\n')}\n`;

/** JSON as a terminal may show it. */
export const printedJson = (value: object): string => printedLines(JSON.stringify(value, null, 2).split('\n'));
