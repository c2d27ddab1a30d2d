import { aCount, type Check } from '../check.ts';

/** How much a payload may hold. */
export interface Limits {
  /**
   * Nested arrays and objects.
   * @defaultValue 200
   */
  readonly depth?: number;
  /**
   * JSON values in all.
   * @defaultValue 1,000,000
   */
  readonly nodes?: number;
  /**
   * References to entities.
   * @defaultValue 100,000
   */
  readonly tokens?: number;
  /**
   * UTF-16 code units of a text payload.
   * @defaultValue 67,108,864: 64 Mi
   */
  readonly length?: number;
  /**
   * Characters of one bigint, and of one part of a key: making them takes more than time in proportion.
   * @defaultValue 10,000
   */
  readonly digits?: number;
  /**
   * Numbers and bigints among the keys of all Maps and the items of all Sets: V8 hashes them without a secret, so that
   * a stranger can choose ones that meet.
   * @defaultValue 10,000
   */
  readonly numberKeys?: number;
}

export const DEFAULT_LIMITS: Required<Limits> = {
  depth: 200,
  nodes: 1_000_000,
  tokens: 100_000,
  length: 64 * 2 ** 20,
  digits: 10_000,
  numberKeys: 10_000,
};

/** Limits with others over them; an undefined one switches nothing off. */
export function resolveLimits(base: Required<Limits>, over: Limits = {}): Required<Limits> {
  return {
    depth: over.depth ?? base.depth,
    nodes: over.nodes ?? base.nodes,
    tokens: over.tokens ?? base.tokens,
    length: over.length ?? base.length,
    digits: over.digits ?? base.digits,
    numberKeys: over.numberKeys ?? base.numberKeys,
  };
}

export const LIMIT_CHECKS: Record<keyof Limits, Check> = {
  depth: aCount,
  nodes: aCount,
  tokens: aCount,
  length: aCount,
  digits: aCount,
  numberKeys: aCount,
};
