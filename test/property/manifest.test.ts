/** `byref manifest --check` says no exactly where what is stored is not read, or not found, any more. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { NewJob } from 'mikro-orm-byref/tasks';
import { compare } from '../../src/cli/manifest/compare.ts';
import { type Manifest, manifestOf } from '../../src/cli/manifest/manifest.ts';
import { KEYS, type KeyType, Program, type Spec } from '../support/application.ts';
import { base, mutations } from '../support/mutations.ts';
import { MovedKeys } from '../support/moved-keys.ts';

let moved: MovedKeys;
beforeAll(async () => (moved = await MovedKeys.connect(process.env['TEST_DATABASE_URL']!)));
afterAll(() => moved.close());

const manifest = async (program: Program): Promise<Manifest> =>
  // As it is in the file.
  JSON.parse(JSON.stringify(await manifestOf(program as never))) as Manifest;

/** What waits: of this release, and of those that it still reads. */
async function storedOf(spec: Spec): Promise<readonly NewJob[]> {
  const models = Object.entries(spec.models).map(([name, model]) => {
    const { aliases } = model;
    return [aliases[0] ?? name, { ...model, aliases: [] }] as const;
  });
  const now = Object.keys(spec.models);
  const renamed = new Map(now.map((name, index) => [name, models[index]![0]]));
  const named = (text: string): string => renamed.get(text) ?? text;
  const older = JSON.parse(JSON.stringify({ ...spec, models: Object.fromEntries(models) }), (key, value: unknown) =>
    key === 'models' && Array.isArray(value) ? value.map(named) : value,
  ) as Spec;
  const releases = Array.from({ length: 2 }, (_, age) => ({
    ...(age === 0 ? spec : older),
    tasks: Object.fromEntries(
      Object.entries((age === 0 ? spec : older).tasks).map(([name, task]) => [
        name,
        { ...task, shapes: task.shapes.slice(Math.min(age, task.shapes.length - 1)) },
      ]),
    ),
  }));
  const jobs = await Promise.all(releases.map((release) => new Program(release).stored()));
  return jobs.flat();
}

/** Which of the jobs of a release are not done by the next one, whose database has the rows of the first. */
async function failingOf(
  jobs: readonly NewJob[],
  before: Spec,
  now: Spec,
  program: Program,
): Promise<readonly NewJob[]> {
  const unread = new Set(await program.failing(jobs));
  const failing = [];
  for (const job of jobs) if (unread.has(job) || (await hasLost(job, before, now, program))) failing.push(job);
  return failing;
}

/** Whether a token of a job finds no row, once MikroORM's migrations have cast the columns to their types of now. */
async function hasLost({ data }: NewJob, before: Spec, now: Spec, { serializer }: Program): Promise<boolean> {
  for (const { token } of serializer.inspect(data).tokens) {
    const { key: types, isTurned: wasTurned = false } = Object.entries(before.models).find(
      ([name, { aliases }]) => name === token.model || aliases.includes(token.model),
    )![1];
    const model = serializer.registry.find(token.model);
    const { key, isTurned = false } = model ? now.models[model.name]! : {};
    if (key?.length !== types.length) return true;
    const parts = [token.primaryKey].flat();
    // Of the same types or not, they are of other columns.
    if (parts.length > 1 && isTurned !== wasTurned) return true;
    for (const [part, type] of key.entries()) {
      if (!(await moved.isFound(parts[part], types[part]!, type))) return true;
    }
  }
  return false;
}

const taskOf = (job: NewJob): string => (job.data['task'] as { name?: string } | undefined)?.name ?? job.queue.name;

describe.each([
  ['unsigned', base],
  ['signed', { ...base, purpose: 'jobs' }],
])('%s', (_, spec: Spec) => {
  test('what is stored is read as long as nothing changes', async () => {
    const [program, jobs] = [new Program(spec), await storedOf(spec)];
    expect(jobs.length).toBeGreaterThan(50);
    expect(await program.failing(jobs)).toEqual([]);
    const file = await manifest(program);
    expect(compare(file, file, program.serializer as never)).toEqual({ breaks: [], unchecked: ['log'], added: [] });
  });

  test('a mutation breaks what the check says that it breaks', async () => {
    const [file, jobs] = [await manifest(new Program(spec)), await storedOf(spec)];
    const seen = { broken: 0, kept: 0 };
    const run = async (mutate: (spec: Spec) => Spec): Promise<void> => {
      const now = mutate(spec);
      const program = new Program(now);
      const failing = new Set((await failingOf(jobs, spec, now, program)).map(taskOf));
      const { breaks } = compare(file, await manifest(program), program.serializer as never);
      const subjects = breaks.map(({ subject }) => subject);
      const blamed = subjects.flatMap((subject) => /^(?:jobs of )?task (.*)$/.exec(subject)?.[1] ?? []);
      expect({ fails: failing.size > 0, breaks }).toEqual({ fails: breaks.length > 0, breaks });
      // A task that is blamed fails; one that fails is blamed, or what it holds is.
      expect([...failing]).toEqual(expect.arrayContaining(blamed));
      if (blamed.length === subjects.length) expect(blamed).toEqual(expect.arrayContaining([...failing]));
      seen[failing.size > 0 ? 'broken' : 'kept']++;
    };
    await fc.assert(fc.asyncProperty(mutations(spec), run), { numRuns: Number(process.env['MANIFEST_RUNS'] ?? 50) });
    expect(seen.broken).toBeGreaterThan(8);
    expect(seen.kept).toBeGreaterThan(8);
  });
});

test('of any two types of keys', async () => {
  const types = Object.keys(KEYS) as KeyType[];
  const specOf = (key: KeyType): Spec => ({
    models: { Row: { aliases: [], key: [key] } },
    values: {},
    tasks: { log: { queue: 'log', shapes: [] } },
  });
  const releases = types.map((type) => ({ type, spec: specOf(type), program: new Program(specOf(type)) }));
  const verdicts: string[] = [];
  for (const { type, spec, program: before } of releases) {
    const [file, jobs] = [await manifest(before), await before.stored()];
    for (const { type: other, spec: next, program: now } of releases) {
      const failing = await failingOf(jobs, spec, next, now);
      const { breaks } = compare(file, await manifest(now), now.serializer as never);
      verdicts.push(`${type} → ${other}: ${failing.length > 0} ${breaks.length > 0}`);
    }
  }
  expect(verdicts.filter((verdict) => !/(true true|false false)$/.test(verdict))).toEqual([]);
  expect(verdicts).toEqual(
    expect.arrayContaining([
      'int → bigint: false false',
      'bigint → int: true true',
      'numeric(10,2) → text: true true',
      'numeric(10,2) → numeric: false false',
      'varchar(20) → text: false false',
      'varchar(20) → varchar(5): true true',
      'uuid → text: false false',
    ]),
  );
});
