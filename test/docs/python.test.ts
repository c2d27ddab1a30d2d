import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByReferenceError, byValue, EntitySerializer, type JsonValue } from 'mikro-orm-byref';
import { canonicalJson } from '../../src/wire/canonical-json.ts';
import { Comment, domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { hostileEnvelopes, hostileShapes, hostileTokens } from '../../fixtures/hostile.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { valueSamples } from '../../fixtures/values.ts';
import { openDatabase } from '../support/database.ts';
import { describeWith, testWith } from '../support/test-with.ts';

const folder = fileURLToPath(new URL('../../examples/python/', import.meta.url));

function python(args: readonly string[], input = ''): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, PYTHONUTF8: '1', PYTHONDONTWRITEBYTECODE: '1' };
  return spawnSync('python3', args, { cwd: folder, input, encoding: 'utf8', env, maxBuffer: 2 ** 28 });
}

/** Says of each payload of a table in a file whether the worker reads it; what else it may raise ends the program. */
const JUDGE = `
import json, sys
from worker import *
def is_read(payload):
    try:
        read(payload)
        return True
    except (Malformed, TooNew):
        return False
with open(sys.argv[1], encoding="utf-8") as table:
    print(json.dumps([is_read(payload) for payload in json.load(table)]))
`;

function readByWorker(payloads: readonly string[]): boolean[] {
  const directory = mkdtempSync(join(tmpdir(), 'byref-python-'));
  try {
    const table = join(directory, 'hostile.json');
    writeFileSync(table, JSON.stringify(payloads));
    const { status, stdout, stderr } = python(['-c', JUDGE, table]);
    if (status !== 0) throw new Error(stderr.slice(-2_000));
    return JSON.parse(stdout) as boolean[];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** JSON of any depth: JSON.stringify has a call for each level. */
function textOf(data: unknown): string {
  let levels = 0;
  let inner = data;
  for (; Array.isArray(inner) && inner.length === 1; levels++) inner = inner[0] as unknown;
  return `${'['.repeat(levels)}${JSON.stringify(inner)}${']'.repeat(levels)}`;
}

const payloadOf = (data: unknown): string => `{"$byref":1,"data":${textOf(data)}}`;

/** Tags with bodies that are nearly theirs. */
const { near } = fc.letrec<{ near: unknown }>((tie) => ({
  near: fc.oneof(
    { maxDepth: 4 },
    fc.jsonValue({ maxDepth: 1 }),
    fc.constantFrom(
      true,
      false,
      0,
      1,
      -1,
      1.5,
      2 ** 31,
      2 ** 53,
      '',
      '1',
      '-0',
      'NaN',
      'a\0',
      '\ud800',
      '1_0',
      '\\u0000',
    ),
    fc.constantFrom(
      'User',
      'Post',
      'Comment',
      'Tag',
      'Nobody',
      'Money',
      'AQ==',
      'AR==',
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    ),
    fc.constantFrom(
      '2026-02-28T23:59:59.999Z',
      '2026-02-29T00:00:00.000Z',
      '2026-1-01T00:00:00.000Z',
      '2026-01-01T24:00:00.000Z',
    ),
    fc.array(tie('near'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom('a', '$', '$$a', 'schema', 'version', '$date', '$bigint', '$map', 'constructor'),
      tie('near'),
      { maxKeys: 2 },
    ),
    fc
      .tuple(
        fc.constantFrom('$entity', '$token', '$value', '$snapshot', '$date', '$bigint', '$bytes', '$map', '$set'),
        fc.oneof(tie('near'), fc.tuple(fc.constantFrom('User', 'Comment', 'Tag', 'Money'), tie('near'))),
      )
      .map(([tag, body]) => ({ [tag]: body })),
    fc
      .tuple(fc.constantFrom('$undefined', '$number', '$string', '$object'), tie('near'))
      .map(([tag, body]) => ({ [tag]: body })),
    fc.array(fc.tuple(tie('near'), tie('near')), { maxLength: 3 }).map((body) => ({ $map: body })),
    fc.array(fc.tuple(fc.string(), tie('near')), { maxLength: 3 }).map((body) => ({ $object: body })),
  ),
}));

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

  // Python's datetime has no such years.
  const exceptions = ['date before our era'];

  test('refuses what the reader refuses, and reads what it reads', () => {
    const table = [
      ...[...hostileShapes, ...hostileTokens].map(({ name, data }) => ({
        name,
        payload: payloadOf(data),
        isRead: false,
      })),
      ...hostileEnvelopes.map(([name, payload]) => ({ name, payload, isRead: false })),
      ...valueSamples.map(({ name, wire }) => ({ name, payload: payloadOf([wire]), isRead: true })),
    ];
    const decisions = readByWorker(table.map(({ payload }) => payload));
    const others = table.filter(({ isRead }, index) => decisions[index] !== isRead).map(({ name }) => name);
    expect(others).toEqual(exceptions);
  });

  test('decides on generated payloads as the reader does', async () => {
    const payloads = fc.sample(near, 3_000).map(payloadOf);
    const reader = new EntitySerializer(database.orm);
    reader.values.register('Money', class Money {}, { encode: () => 0, decode: () => 0 as never });
    const decisions = await Promise.all(
      payloads.map(async (payload) => {
        try {
          await reader.deserialize(payload, { em: database.orm.em.fork(), freshness: 'lazy' });
          return true;
        } catch (error) {
          if (!(error instanceof ByReferenceError)) throw error;
          return false;
        }
      }),
    );
    const byWorker = readByWorker(payloads);
    expect(payloads.filter((_, index) => byWorker[index] !== decisions[index])).toEqual([]);
    expect(decisions.filter(Boolean).length).toBeGreaterThan(300);
  });

  test('writes canonical JSON as what signs does', () => {
    const numbers = fc.sample(
      fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.maxSafeInteger()),
      2_000,
    );
    const documents: JsonValue[] = [numbers, { 9: 1, 10: 2, '\u{1f600}': 'é\n\u001f', '\ufb33': [null, true] }];
    expect(evaluated('[canonical(item) for item in input]', documents)).toEqual(
      documents.map((item) => canonicalJson(item)),
    );
  });

  test('takes no hostile input for a crash', () => {
    for (const payload of [
      '{"$byref":1,"data":{"$set":["\\ud800",{"$number":"NaN"},"\\u001b"]}}',
      '[[',
      '{"$byref":1,"data":1,"purpose":"a","signature":"é"}',
      `${'['.repeat(100_000)}`,
    ]) {
      const { status, stdout, stderr } = python(['worker.py'], payload);
      expect(stderr).not.toContain('Traceback');
      expect([status, stderr.startsWith('Malformed: ')]).toEqual(status === 0 ? [0, false] : [1, true]);
      // Nothing is obeyed where it is printed.
      expect(stdout + stderr).toMatch(/^[\n -~]*$/);
    }
    const { status } = python(['worker.py'], '{"$byref":2,"data":{"$new":1}}');
    expect(status).toBe(75);
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
    expect(verify({ ...forGood!.payload, signature: 'é' }, 'jobs')).toBe(false);
    expect(verify({ ...forGood!.payload, purpose: '\ud800' }, 'jobs')).toBe(false);
    const text = JSON.stringify(forGood!.payload);
    const isRead = (...args: unknown[]): unknown =>
      evaluated('isinstance(read(input[0], *(item and item.encode() for item in input[1:2]), *input[2:]), object)', [
        text,
        ...args,
      ]);
    expect(isRead(secret, 'jobs')).toBe(true);
    expect(isRead(secret)).toBe(true);
    expect(() => isRead(secret, 'other')).toThrow('a signature to be trusted');
    expect(() => isRead()).toThrow('a signature to be trusted');
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

    // Another tenant's row is another row: a token's schema is read where it is admitted, and refused elsewhere.
    await database.orm.em
      .fork()
      .execute(`create schema other; create table other."user" as table "user"; update other."user" set name = 'Bea'`);
    const foreign = '{"$byref":1,"data":[{"$entity":["User",1]},{"$entity":["User",1,{"schema":"other"}]}]}';
    const refused = python(['worker.py', url], foreign);
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('Malformed')]);
    const admitted = python(['worker.py', url, 'other'], foreign);
    expect(JSON.parse(admitted.stdout)).toMatchObject([{ name: "Ann O'Hara" }, { name: 'Bea' }]);

    const missing = python(['worker.py', url], '{"$byref":1,"data":{"$entity":["User",404]}}');
    expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining('no such row')]);
  });
});
