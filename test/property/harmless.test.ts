import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByReferenceError, EntitySerializer, EntityToken, type JsonObject } from 'mikro-orm-byref';
import { describe as described } from '../../src/tasks/outcome.ts';
import { jsonPath } from '../../src/wire/json.ts';
import { domain, User } from '../../fixtures/domain.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const numRuns = process.env['CI'] === undefined ? 200 : 2_000;

const orm = offlineOrm(domain);
const serializer = new EntitySerializer(orm, { signingKeys: ['a secret of thirty-two bytes, ok'] });
const em = orm.em.fork();

/** Names that strangers give: any code units, and those that terminals and logs obey. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\n',
        '\r',
        '\t',
        '\0',
        '\u001b[2J',
        '\u0085',
        '\u009b31m',
        '\u202e',
        '\u2066',
        '\u2028',
        '\ufeff',
      ),
      fc.constantFrom('\ud800', '\u{e0041}', "'", '"', '\\', '$', 'User', '\\u0041', 'é', '😀'),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join(''));

const HARMLESS = /^[^\p{C}\p{Zl}\p{Zp}]*$/u;

function expectHarmless(text: string | undefined, longest: number): void {
  if (text === undefined) return;
  if (!HARMLESS.test(text) || text.length > longest)
    throw new Error(`not harmless: ${JSON.stringify(text.slice(0, 3_000))}`);
}

/** Every text of a stored failure but its stack, whose lines are frames. */
function textsOf(json: unknown): string[] {
  if (typeof json === 'string') return [json];
  if (typeof json !== 'object' || json === null) return [];
  return Object.entries(json).flatMap(([key, value]) => [key, ...(key === 'stack' ? [] : textsOf(value))]);
}

function expectHarmlessError(error: unknown): void {
  if (!(error instanceof ByReferenceError)) throw error;
  expectHarmless(error.message, 2_000);
  expectHarmless(error.stack?.split('\n')[0], 2_100);
  expectHarmless(error.path, 1_000);
  expectHarmless(error.model, 200);
  const failure = described(error);
  for (const text of textsOf(failure)) expectHarmless(text, 2_000);
  if (JSON.stringify(failure).length > 50_000) throw new Error('a long failure');
}

/** Their types are internal. */
const factories = ByReferenceError as unknown as Record<string, (...args: unknown[]) => ByReferenceError>;
const names = Object.getOwnPropertyNames(ByReferenceError).filter((name) => typeof factories[name] === 'function');

/** A token with a hostile name and key, as far as a token takes them. */
const tokenOf = (text: string): EntityToken =>
  new EntityToken(`x${text}`.toWellFormed().replaceAll('\0', 'x'), text.toWellFormed().replaceAll('\0', 'x'));

/** Factories that take more than texts. */
const special: Readonly<Record<string, (text: string) => unknown[]>> = {
  modelNotAllowed: (text) => [text, [text, text], text],
  malformed: (text) => [text, { path: text, model: text }],
  unknownModel: (text) => [text, false, text],
  unknownValue: (text) => [text, false, text],
  unnamedModels: (text) => [[text, text]],
  expired: () => [new Date(0)],
  entityNotFound: (text) => [Array(1_000).fill(tokenOf(text)), text, 2],
  notYetVisible: (text) => [[tokenOf(text)], text],
  locked: (text) => [[tokenOf(text)], text],
  drift: (text) => [[tokenOf(text)], text],
  unflushed: (text) => [[tokenOf(text)], text],
};

function expectHarmlessErrors(text: string): void {
  for (const name of names) {
    expectHarmlessError(factories[name]!(...(special[name]?.(text) ?? Array(6).fill(text))));
  }
}

test('every error says what strangers wrote in a way that does no harm', () => {
  fc.assert(fc.property(hostile, expectHarmlessErrors), { numRuns });
});

test('names of megabytes are shortened', () => {
  for (const text of ['x'.repeat(5_000_000), '\u001b'.repeat(1_000_000), '😀\u202e'.repeat(300_000)]) {
    expectHarmlessErrors(text);
  }
});

/** Payloads and values that are refused, with a stranger's text in every place that takes one. */
const refused: readonly ((text: string) => unknown)[] = [
  (text) => serializer.decode({ $byref: 1, data: { [text]: { $bad: 1 } } }),
  (text) => serializer.decode({ $byref: 1, data: { [`$${text}`]: 1 } }),
  (text) => serializer.decode({ $byref: 1, data: { [`$${text}`]: 1, a: 1 } }),
  (text) => serializer.decode({ $byref: 1, data: [{ $entity: [`x${text}`, 1] }] }, { em }),
  (text) => serializer.decode({ $byref: 1, data: { $entity: ['User', text] } }, { em }),
  (text) => serializer.decode({ $byref: 1, data: { $entity: ['User', 1, { schema: text }] } }, { em }),
  (text) => serializer.decode({ $byref: 1, data: { $entity: ['User', 1, { [text]: 1 }] } }, { em }),
  (text) => serializer.decode({ $byref: 1, data: { $entity: [`x${text}`, 1] } }, { em, only: [User] }),
  (text) => serializer.decode({ $byref: 1, data: { [text]: { $value: [text, {}] } } }),
  (text) => serializer.decode({ $byref: 1, data: { [text]: { $snapshot: [text, {}] } } }),
  (text) => serializer.decode({ $byref: 1, data: 1, purpose: text, signature: text }),
  (text) => serializer.deserialize(text),
  (text) => serializer.encode({ [text]: { [text]: () => 1 } }),
  (text) => serializer.encode(new Map([[text, Symbol(text)]])),
  (text) => serializer.encode({ a: Object.assign([1], { [`x${text}`]: 1 }) }),
  (text) => serializer.encode({ a: Object.defineProperty({}, Symbol(text), { value: 1 }) }),
  (text) => serializer.encode({ a: new (Object.defineProperty(class {}, 'name', { value: text }))() }),
  (text) => serializer.verify(text, { purpose: text }),
  (text) => serializer.sign(text as never, { purpose: text, expiresInMs: 1 }),
  (text) => new EntitySerializer(orm, { [text]: 1 } as never),
  (text) => serializer.decode({ $byref: 1, data: 1 }, { freshness: text as never }),
];

async function expectRefusedHarmlessly(text: string): Promise<void> {
  for (const run of refused) {
    try {
      await run(text);
    } catch (error) {
      expectHarmlessError(error);
    }
  }
  for (const { path, message } of serializer.inspect({ $byref: 1, data: { [text]: { $bad: 1 } } }).problems) {
    expectHarmless(path, 1_000);
    expectHarmless(message, 2_000);
  }
}

test('whatever a payload, a value, a purpose or an option says', async () => {
  await fc.assert(fc.asyncProperty(hostile, expectRefusedHarmlessly), { numRuns });
});

test('however long it says it', async () => {
  await expectRefusedHarmlessly(`\u001b${'x'.repeat(1_000_000)}\n`);
  const deep = JSON.parse(`${`{"${'k'.repeat(1_000)}":`.repeat(150)}{"$bad":1}${'}'.repeat(150)}`) as JsonObject;
  await expect(serializer.decode({ $byref: 1, data: deep })).rejects.toMatchObject({
    path: expect.stringMatching(/^\$\.k{498} … k+\['\$bad'\]$/) as unknown,
  });
});

test('what a handler throws is kept on lines of its own', () => {
  fc.assert(
    fc.property(hostile, hostile, (message, name) => {
      const error = Object.assign(new Error(message), { name });
      const failure = described(error);
      for (const text of textsOf(failure)) expectHarmless(text, 2_000);
      const [first, ...frames] = String(failure['stack']).split('\n');
      expectHarmless(first, 2_100);
      for (const frame of frames) if (!/^ {4}at /.test(frame)) throw new Error(`no frame: ${frame}`);
    }),
    { numRuns },
  );
});

/** The names in a path as RFC 9535 reads it. */
function segmentsOf(path: string): (string | number)[] {
  const segments = path.slice(1).match(/\.\w+|\[\d+\]|\['(?:\\.|[^'\\])*'\]/g) ?? [];
  expect(`$${segments.join('')}`).toBe(path);
  return segments.map((segment) => {
    if (segment.startsWith('.')) return segment.slice(1);
    if (!segment.startsWith("['")) return Number(segment.slice(1, -1));
    const inner = segment.slice(2, -2).replace(/\\'|"/g, (quote) => (quote === '"' ? '\\"' : "'"));
    return JSON.parse(`"${inner}"`) as string;
  });
}

test('a path names what it names, as RFC 9535 writes it', () => {
  expect(jsonPath(['a b', "it's", '"', '\\', '\n\t\b\f\r\0\u001b', '\u202e', 'é', 0])).toBe(
    String.raw`$['a b']['it\'s']['"']['\\']['\n\t\b\f\r\u0000\u001b']['\u202e']['é'][0]`,
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(hostile, fc.string(), fc.nat())), (segments) => {
      expectHarmless(jsonPath(segments), Number.MAX_SAFE_INTEGER);
      expect(segmentsOf(jsonPath(segments))).toEqual(segments);
    }),
    { numRuns },
  );
});
