/** What a run found, for its readers: the block `bench` of docs/reference/benchmarks.md, and its plot. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { AlternativeRaces, Facts } from './alternatives.ts';
import type { Bar } from './bars.ts';
import { type Panel, plot } from './plot.ts';
import { markdownTable, replaceBlock } from './tables.ts';

export interface Report {
  readonly alternatives: readonly AlternativeRaces[];
  readonly bars: readonly Bar[];
  /** Lines about versions and the machine. */
  readonly environment: readonly string[];
}

const PAGE = new URL('../docs/reference/benchmarks.md', import.meta.url);
const PLOT = new URL('../docs/public/bench.svg', import.meta.url);

export function writeReport(report: Report): void {
  writeFileSync(PAGE, replaceBlock(readFileSync(PAGE, 'utf8'), 'bench', pageBlock(report)));
  writeFileSync(PLOT, plotOf(report));
}

export function pageBlock({ alternatives, bars, environment }: Report): string {
  return [
    '![Bytes of the payload, time of sending and time of receiving, by the number of entities](../public/bench.svg)',
    markdownTable(alternativesTable(alternatives), 3),
    `Medians of one run; ${environment.join('; ')}. Of the same run, ratios and counts, and the bars that fail it:`,
    markdownTable(barsTable(bars)),
  ].join('\n\n');
}

/** A row for each size and way; the size is named once. */
export function alternativesTable(alternatives: readonly AlternativeRaces[]): string[][] {
  return [
    ['entities', 'sent', 'the worker has', 'statements', 'payload, bytes', 'sending, ms', 'receiving, ms'],
    ...alternatives.flatMap(({ size, send, receive, facts }) =>
      Array.from(facts, ([name, fact], index) => [
        index === 0 ? count(size) : '',
        name,
        possession(fact),
        count(fact.statements),
        count(fact.bytes),
        milliseconds(send.ms(name)),
        milliseconds(receive.ms(name)),
      ]),
    ),
  ];
}

export function barsTable(bars: readonly Bar[]): string[][] {
  return [
    ['ratio, count or time', 'measured', 'bar'],
    ...bars.map(({ name, measured, limit, holds }) => [name, measured, holds ? limit : `missed: ${limit}`]),
  ];
}

export function plotOf({ alternatives, environment }: Pick<Report, 'alternatives' | 'environment'>): string {
  const panel = (title: string, tick: Panel['tick'], value: (races: AlternativeRaces, way: string) => number) => ({
    title,
    tick,
    series: Array.from(alternatives[0]!.facts, ([name, { rowOf }]) => ({
      name,
      isDashed: rowOf === 'then',
      points: alternatives.map((races) => [races.size, value(races, name)] as const),
    })),
  });
  return plot({
    title: 'A job that holds entities. Dashed: the worker has the row of then; solid: the row of now',
    xLabel: 'entities in the job',
    panels: [
      panel('payload', bytes, ({ facts }, way) => facts.get(way)!.bytes),
      panel('sending, ms', milliseconds, ({ send }, way) => send.ms(way)),
      panel('receiving with its queries, ms', milliseconds, ({ receive }, way) => receive.ms(way)),
    ],
    caption: environment,
  });
}

const possession = ({ isManaged, rowOf }: Facts): string => `${isManaged ? 'entities' : 'plain objects'} of ${rowOf}`;

const count = (value: number): string => value.toLocaleString('en');

const milliseconds = (value: number): string => value.toLocaleString('en', { maximumSignificantDigits: 2 });

const bytes = (value: number): string =>
  value < 1e3 ? `${value} B` : value < 1e6 ? `${value / 1e3} kB` : `${value / 1e6} MB`;
