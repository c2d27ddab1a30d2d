import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { inspect, type PayloadReport } from '../codec/inspect.ts';
import { ByReferenceError } from '../errors.ts';
import { isEnvelope } from '../wire/envelope.ts';
import { type JsonValue, pathBelow } from '../wire/json.ts';
import { readSignedToken } from '../wire/signing.ts';
import { EntityToken } from '../wire/token.ts';
import { UsageError } from './arguments.ts';

/** What the input holds at one place. */
export interface Finding {
  /** Where in the input; the paths in the report start from there. */
  readonly path: string;
  readonly kind: 'payload' | 'token';
  readonly report: PayloadReport;
}

/** Levels that are looked into for payloads. */
const MAX_DEPTH = 1_000;

/** The text that an argument stands for. Throws UsageError. */
export async function readInput(argument: string, stdin: Readable): Promise<string> {
  if (argument === '-') return text(stdin);
  if (looksLikeJson(argument)) return argument;
  try {
    return await readFile(argument, 'utf8');
  } catch (cause) {
    if (readToken(argument) !== undefined) return argument;
    throw new UsageError(`neither a payload, nor a token, nor a file that can be read: ${argument}`, { cause });
  }
}

/** Every payload in a text, or what the text is instead. Reports what is wrong and throws nothing. */
export function findPayloads(input: string): readonly Finding[] {
  // A byte order mark is white space here.
  const trimmed = input.trim();
  const json = parsed(trimmed) ?? parsedLines(trimmed);
  if (json === undefined) {
    const token = readToken(trimmed);
    return [{ path: '$', kind: token === undefined ? 'payload' : 'token', report: token ?? inspect(trimmed) }];
  }
  const found: Finding[] = [];
  collect(json, '$', 0, found);
  return found.length > 0 ? found : [{ path: '$', kind: 'payload', report: inspect(json) }];
}

function collect(json: JsonValue, path: string, depth: number, found: Finding[]): void {
  if (typeof json === 'string') {
    const inner = json.includes('$byref') && looksLikeJson(json) ? parsed(json) : undefined;
    if (inner !== undefined) collect(inner, path, depth, found);
  } else if (isEnvelope(json)) {
    found.push({ path, kind: 'payload', report: withExpiry(inspect(json)) });
  } else if (typeof json === 'object' && json !== null && depth < MAX_DEPTH) {
    for (const [key, child] of Object.entries(json)) {
      collect(child as JsonValue, pathBelow(path, Array.isArray(json) ? Number(key) : key), depth + 1, found);
    }
  }
}

/** A token by itself, as `EntityToken.toString()` and `serializer.sign()` write it. */
function readToken(input: string): PayloadReport | undefined {
  try {
    const signed = readSignedToken(input);
    return withExpiry({
      version: undefined,
      signed: signed !== undefined,
      purpose: undefined,
      expiresAt: signed?.expiresAt,
      tokens: [{ path: '$', token: signed?.token ?? EntityToken.parse(input) }],
      tags: {},
      problems: [],
    });
  } catch {
    return undefined;
  }
}

/** A signature that has expired is refused, whoever made it. */
function withExpiry(report: PayloadReport): PayloadReport {
  const { signed, expiresAt, problems } = report;
  if (!signed || expiresAt === undefined || Date.now() < expiresAt.getTime()) return report;
  const { code, message } = ByReferenceError.expired(expiresAt);
  return { ...report, problems: [...problems, { path: '$', code, message }] };
}

const looksLikeJson = (input: string): boolean => /^\s*[[{"]/.test(input);

function parsed(input: string): JsonValue | undefined {
  try {
    return JSON.parse(input) as JsonValue;
  } catch {
    return undefined;
  }
}

/** One value per line, as database shells print a column of them. */
function parsedLines(input: string): JsonValue | undefined {
  const values: JsonValue[] = [];
  for (const line of input.split('\n')) {
    const value = line.trim() === '' ? null : parsed(line);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}
