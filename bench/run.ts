/** `npm run bench`: ratios inside one run, because machines are noisy, and the bars that they must hold. */
import { randomBytes } from 'node:crypto';
import { EntitySerializer } from 'mikro-orm-byref';
import { domain } from '../fixtures/domain.ts';
import { createOrm } from '../fixtures/orm.ts';
import { startPostgres } from '../fixtures/postgres.ts';
import { table } from './measure.ts';
import { benchReferences, fill, type ReferenceRaces } from './references.ts';

const SIZES = [
  { size: 1, rounds: 100, oneByOne: false },
  { size: 100, rounds: 60, oneByOne: false },
  { size: 1_000, rounds: 100, oneByOne: true },
  { size: 10_000, rounds: 75, oneByOne: false },
];

const server = await startPostgres();
const { orm, close } = await createOrm(server.url, `byref_bench_${randomBytes(4).toString('hex')}`, domain, {
  debug: false,
});
try {
  await fill(orm.em.fork());
  const serializer = new EntitySerializer(orm);
  const sizes: ReferenceRaces[] = [];
  for (const { size, ...options } of SIZES) sizes.push(await benchReferences(serializer, orm.em, size, options));

  const [postgres] = await orm.em.fork().getConnection().execute<{ server_version: string }[]>('show server_version');
  console.log(`Node ${process.versions.node}, PostgreSQL ${postgres!.server_version}\n`);
  console.log(
    table([
      ['references', 'serialize', 'stringify', 'ratio', 'parse', 'revive', 'by hand', 'ratio', 'one by one', 'ratio'],
      ...sizes.map(({ size, codec, database, oneByOne }) => [
        size.toLocaleString('en'),
        ms(codec.ms('serialize')),
        ms(codec.ms('stringify')),
        ratio(codec.ratio('serialize', 'stringify')),
        ms(database.ms('parse')),
        ms(database.ms('revive')),
        ms(database.ms('by hand')),
        ratio(database.ratio('revive', 'by hand')),
        ...(oneByOne ? [ms(oneByOne.ms('one by one')), ratio(oneByOne.ratio('one by one', 'revive'))] : ['', '']),
      ]),
    ]),
  );

  const bars = sizes
    .filter(({ size }) => size >= 1_000)
    .flatMap(({ size, codec, database, oneByOne }) => [
      atMost(`revive ${size} / finds by hand`, database.ratio('revive', 'by hand'), 1.1),
      atMost(`serialize ${size} / JSON.stringify`, codec.ratio('serialize', 'stringify'), 3),
      ...(oneByOne
        ? [atLeast(`one find per reference, ${size} / revive`, oneByOne.ratio('one by one', 'revive'), 10)]
        : []),
    ]);
  console.log(
    `\n${table([['bar', 'measured', 'limit', ''], ...bars.map((bar) => [bar.name, ratio(bar.value), bar.limit, bar.holds ? 'holds' : 'MISSED'])])}`,
  );
  if (bars.some((bar) => !bar.holds)) process.exitCode = 1;
} finally {
  await close();
  await server.stop();
}

interface Bar {
  readonly name: string;
  readonly value: number;
  readonly limit: string;
  readonly holds: boolean;
}

function atMost(name: string, value: number, limit: number): Bar {
  return { name, value, limit: `<= ${ratio(limit)}`, holds: value <= limit };
}

function atLeast(name: string, value: number, limit: number): Bar {
  return { name, value, limit: `>= ${ratio(limit)}`, holds: value >= limit };
}

function ms(value: number): string {
  return `${value.toFixed(value < 1 ? 3 : 1)} ms`;
}

function ratio(value: number): string {
  return `${value.toFixed(2)}x`;
}
