import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { byValue, EntitySerializer } from 'mikro-orm-byref';
import { Comment, domain, Post, Tag, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { valueSamples } from '../../fixtures/values.ts';
import { openDatabase } from '../support/database.ts';
import { describeWith, testWith } from '../support/test-with.ts';

const folder = fileURLToPath(new URL('../../examples/python/', import.meta.url));

function python(args: readonly string[], input = ''): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('python3', args, { cwd: folder, input, encoding: 'utf8', env: { ...process.env, PYTHONUTF8: '1' } });
}

/** What a Python expression over the worker's functions gives, through JSON. */
function evaluated(expression: string, input: unknown): unknown {
  const code = `import json, sys\nfrom worker import *\ninput = json.load(sys.stdin)\nprint(json.dumps(${expression}))`;
  const { status, stdout, stderr } = python(['-c', code], JSON.stringify(input));
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

describeWith('python3')('the worker in Python', () => {
  let database: TestOrm;
  let serializer: EntitySerializer;

  beforeAll(async () => {
    database = await openDatabase(domain);
    serializer = new EntitySerializer(database.orm);
    const em = database.orm.em.fork();
    const ann = em.create(User, { id: 1, name: "Ann O'Hara", email: 'old@example.org' });
    const post = em.create(Post, { id: 7, title: 'Hello', body: '', author: ann });
    em.create(Comment, { id: 9_007_199_254_740_993n, text: 'First', post, author: ann });
    em.create(Tag, { id: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', label: 'news' });
    await em.flush();
  });
  afterAll(() => database.close());

  test('decodes every kind of value', () => {
    // Years that Python's datetime does not have, and lone surrogates, which it can't print.
    const samples = valueSamples.filter(({ name }) => !/before our era|surrogate/.test(name));
    const back = evaluated(
      '[repr(decode(item)) for item in input]',
      samples.map(({ wire }) => wire),
    ) as string[];
    const named = Object.fromEntries(samples.map(({ name }, index) => [name, back[index]]));
    expect(named).toMatchObject({
      null: 'None',
      NaN: 'nan',
      '-Infinity': '-inf',
      undefined: 'undefined',
      bigint: '1000000000000000000000',
      date: 'datetime.datetime(2026, 11, 21, 4, 5, 6, 7000, tzinfo=datetime.timezone.utc)',
      bytes: String.raw`b'\x00\xff\x7f'`,
      'string with NUL': String.raw`'a\x00b'`,
      'forged token': "{'$entity': ['User', 1]}",
      token: "Reference(model='User', key=1, schema=None)",
      'token with details': "Reference(model='OrderLine', key=(7, 'a'), schema='t1')",
      map: "[('a', 1), (2, datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)), (None, undefined)]",
    });
  });

  test('refuses what it does not know', () => {
    for (const payload of ['{"$byref":1,"data":{"$regexp":"x"}}', '[1]', '{"$byref":1,"data":{"$date":"x"}}']) {
      const { status, stderr } = python(['worker.py'], payload);
      expect([status, stderr]).toEqual([1, expect.stringContaining('Malformed')]);
    }
  });

  test('verifies signatures', () => {
    const { secret, payloads } = JSON.parse(
      readFileSync(new URL('../../fixtures/payloads/v1/signed.json', import.meta.url), 'utf8'),
    ) as { secret: string; payloads: { payload: object }[] };
    const verify = (payload: unknown, purpose: string): unknown =>
      evaluated('is_signed(input[0], input[1].encode(), input[2])', [payload, secret, purpose]);
    const [forGood] = payloads;
    expect(verify(forGood!.payload, 'jobs')).toBe(true);
    expect(verify(forGood!.payload, 'other')).toBe(false);
    expect(verify({ ...forGood!.payload, data: 1 }, 'jobs')).toBe(false);
  });

  // The standard library of Python has no PostgreSQL driver.
  testWith('psql')('reads the rows of now', async () => {
    const em = database.orm.em.fork();
    const [ann, post, comment, tag] = await Promise.all([
      em.findOneOrFail(User, 1),
      em.findOneOrFail(Post, 7),
      em.findOneOrFail(Comment, 9_007_199_254_740_993n),
      em.findOneOrFail(Tag, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
    ]);
    const payload = serializer.serialize({ ann, list: [post, comment, tag, ann], copy: byValue(ann) });
    await database.orm.em.fork().nativeUpdate(User, 1, { email: 'new@example.org' });
    const dbName = database.orm.config.get('dbName')!;
    const url = Object.assign(new URL(process.env['TEST_DATABASE_URL']!), { pathname: `/${dbName}` }).href;
    const result = python(['worker.py', url], payload);
    expect(result.stderr).toBe('');
    const printed = JSON.parse(result.stdout) as { ann: object; list: object[]; copy: { data: object } };
    expect(printed.ann).toMatchObject({ name: "Ann O'Hara", email: 'new@example.org' });
    expect(printed.list).toMatchObject([{ title: 'Hello' }, { text: 'First' }, { label: 'news' }, printed.ann]);
    expect(printed.copy.data).toMatchObject({ email: 'old@example.org' });

    const missing = python(['worker.py', url], '{"$byref":1,"data":{"$entity":["User",404]}}');
    expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining('no such row')]);
  });
});
