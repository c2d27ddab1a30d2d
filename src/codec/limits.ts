import { aCount, type Check } from '../check.ts';

/** How much a payload may hold. */
export interface Limits {
  /** Nested arrays and objects. Default: 200. */
  readonly depth?: number;
  /** JSON values in all. Default: 1,000,000. */
  readonly nodes?: number;
  /** References to entities. Default: 100,000. */
  readonly tokens?: number;
  /** UTF-16 code units of a text payload. Default: 64 Mi. */
  readonly length?: number;
}

const DEFAULT_LIMITS: Required<Limits> = { depth: 200, nodes: 1_000_000, tokens: 100_000, length: 64 * 2 ** 20 };

/** The default limits with those of the layers over them, later ones first; an undefined one switches nothing off. */
export function resolveLimits(...layers: readonly (Limits | undefined)[]): Required<Limits> {
  const limits = { ...DEFAULT_LIMITS };
  for (const layer of layers) {
    for (const name of Object.keys(limits) as (keyof Limits)[]) limits[name] = layer?.[name] ?? limits[name];
  }
  return limits;
}

export const LIMIT_CHECKS: Record<keyof Limits, Check> = {
  depth: aCount,
  nodes: aCount,
  tokens: aCount,
  length: aCount,
};
