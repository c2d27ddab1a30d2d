/**
 * `npm run bench`: ratios inside one run, because machines are noisy, and the bars that they must hold.
 * A run that came to its end is what docs/reference/benchmarks.md tells. `--short` measures too few rounds to tell anything but counts.
 */
import { randomBytes } from 'node:crypto';
import { EntitySerializer } from 'mikro-orm-byref';
import { domain } from '../fixtures/domain.ts';
import { createOrm } from '../fixtures/orm.ts';
import { startPostgres } from '../fixtures/postgres.ts';
import { type AlternativeRaces, benchAlternatives, BY_REFERENCE, FIND_PER_ID } from './alternatives.ts';
import { atLeast, atMost, countAtMost, ratio, shown, us } from './bars.ts';
import { benchCache } from './cache.ts';
import { benchCrowded, crowdedSchemas } from './crowded.ts';
import { environment } from './environment.ts';
import { benchJobs } from './jobs.ts';
import { benchLocks } from './locks.ts';
import { benchMariadb } from './mariadb.ts';
import { isShort } from './measure.ts';
import { benchFew, benchReferences, fill, type ReferenceRaces } from './references.ts';
import { alternativesTable, barsTable, writeReport } from './report.ts';
import { table } from './tables.ts';
import { benchValues } from './values.ts';

const SIZES = [
  { size: 1, rounds: 50 },
  { size: 100, rounds: 50 },
  { size: 1_000, rounds: 100 },
  { size: 10_000, rounds: 75 },
];
const JOB_SIZES = [
  { size: 1, rounds: 50 },
  { size: 10, rounds: 50 },
  { size: 100, rounds: 30 },
  { size: 1_000, rounds: 15 },
];

let isMissed: boolean;
const server = await startPostgres();
const name = `byref_bench_${randomBytes(4).toString('hex')}`;
const database = await createOrm(server.url, name, [...domain, ...crowdedSchemas], { debug: false });
const { orm, url } = database;
try {
  await fill(orm.em.fork());
  await orm.em.execute('analyze');
  const serializer = new EntitySerializer(orm);
  const { codec: values, signing } = await benchValues(serializer, orm.em, 200);
  const sizes: ReferenceRaces[] = [];
  for (const { size, rounds } of SIZES) sizes.push(await benchReferences(serializer, orm.em, size, rounds));
  const few = await benchFew(serializer, orm.em, 300);
  const crowded = await benchCrowded(serializer, orm.em, 100);
  const alternatives: AlternativeRaces[] = [];
  for (const { size, rounds } of JOB_SIZES) {
    alternatives.push(await benchAlternatives(serializer, database, size, rounds));
  }

  // Last of all: its ORM takes the classes over.
  const { version, races: mariadb } = await benchMariadb(SIZES.filter(({ size }) => size >= 100));
  const ranOn = await environment(orm.em.fork(), url, version);
  console.log(`${ranOn.join('\n')}\nmedians, ratios inside this run\n`);
  console.log(`${table(alternativesTable(alternatives), 3)}\n`);
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
      ['revive', 'parse', 'by hand', 'revive', 'ratio'],
      ...sizes.map(({ size, database: queries }) => [
        size.toLocaleString('en'),
        ms(queries.ms('parse')),
        ms(queries.ms('by hand')),
        ms(queries.ms('revive')),
        ratio(queries.ratio('revive', 'by hand')),
      ]),
      ...mariadb.map(({ size, race }) => [
        `${size.toLocaleString('en')}, MariaDB`,
        ms(race.ms('parse')),
        ms(race.ms('by hand')),
        ms(race.ms('revive')),
        ratio(race.ratio('revive', 'by hand')),
      ]),
    ])}`,
  );

  const [oneRatio, twoRatio] = [few.ratio('one', 'findOneOrFail'), few.ratio('two', 'two side by side')];
  console.log(
    `\n${table([
      ['a job of few', 'by hand', 'revive', 'ratio'],
      ['one, against findOneOrFail', ms(few.ms('findOneOrFail')), ms(few.ms('one')), ratio(oneRatio)],
      ['two, against two at once', ms(few.ms('two side by side')), ms(few.ms('two')), ratio(twoRatio)],
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

  const largest = alternatives.at(-1)!;
  const bars = [
    atMost('reviving one reference, against `findOneOrFail` by hand', oneRatio, 1.12),
    ...[...crowded].map(([keys, crowd]) =>
      atMost(
        `reviving one into an EntityManager of 30,000 rows by ${keys}, against \`find\` with \`refresh\``,
        crowd.ratio('revive', 'find'),
        2,
      ),
    ),
    atMost('reviving two of two models, against two of those at once', twoRatio, 1.15),
    ...sizes
      .filter(({ size }) => size >= 100)
      .map(({ size, database: queries }) =>
        atMost(
          `reviving ${size.toLocaleString('en')} references, against one find per model by hand`,
          queries.ratio('revive', 'by hand'),
          1,
        ),
      ),
    ...mariadb.map(({ size, race }) =>
      atMost(`the same of ${size.toLocaleString('en')} on MariaDB`, race.ratio('revive', 'by hand'), 1.1),
    ),
    ...sizes
      .filter(({ size }) => size >= 1_000)
      .flatMap(({ size, codec }) => [
        atMost(
          `serializing ${size.toLocaleString('en')}, against \`JSON.stringify\` of the finished tokens`,
          codec.ratio('references', 'stringify'),
          3,
        ),
        shown('the same against making the tokens by hand, too', codec.ratio('references', 'by hand')),
        // Barred nowhere: at 10,000 it is the CPU's cache that is measured, not the walker.
        shown('the same with their rows loaded', codec.ratio('loaded', 'stringify')),
      ]),
    atLeast(
      'receiving 1,000 entities with one find per id, against by reference',
      largest.receive.ratio(FIND_PER_ID, BY_REFERENCE),
      10,
    ),
    countAtMost('statements of the latter', largest.facts.get(BY_REFERENCE)!.statements, 2),
    atMost(
      'writing 100 entities, 100 dates, a Map, a Set and a bigint, against JSON of finished tokens',
      values.ratio('encode', 'stringify'),
      1.5,
    ),
    atMost('reading them', values.ratio('decode', 'parse'), 2.5),
    atMost(
      '1,000 jobs of two entities through pg-boss, against ids and finds by hand',
      jobs.ratio('reference', 'ids'),
      1.15,
    ),
    countAtMost('statements to revive a batch of 100 such jobs', batchQueries, 2),
    atMost('an uncontended lock on PostgreSQL, against two `select 1`', uncontended.ratio('lock', 'floor'), 2),
    shown('the same against its own statements, sent by hand', uncontended.ratio('lock', 'statements')),
    countAtMost('its statements', statements, 2),
    atMost('a cache hit without entities, against bentocache alone', plainHit, 1.2),
    atMost('the same with a tag', dependentHit, 1.2),
    countAtMost('queries of a cache hit with 10 entities of one model', queries, 1),
    atMost('signing a token', signing.ms('sign') * 1_000, 10, us),
    atMost('verifying it', signing.ms('verify') * 1_000, 10, us),
  ];
  const judged = isShort ? bars.filter(({ isCount }) => isCount) : bars;
  console.log(`\n${table(barsTable(judged))}`);
  if (!isShort) writeReport({ alternatives, bars, environment: ranOn });
  isMissed = judged.some(({ holds }) => !holds);
} finally {
  await database.close();
  await server.stop();
}
process.exit(isMissed ? 1 : 0);

function ms(value: number): string {
  return `${value.toFixed(value < 1 ? 4 : 1)} ms`;
}
