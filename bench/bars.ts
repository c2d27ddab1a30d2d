/** What a run must hold, and how it is written. */

export interface Bar {
  readonly name: string;
  readonly measured: string;
  /** Empty where the number is only shown. */
  readonly limit: string;
  readonly holds: boolean;
  /** Whether it is a count, the same on every machine. */
  readonly isCount?: true;
}

export function atMost(name: string, value: number, limit: number, unit = ratio): Bar {
  return { name, measured: unit(value), limit: `≤ ${unit(limit)}`, holds: value <= limit };
}

/** The same for what is counted, not timed: it holds however few rounds were measured. */
export function countAtMost(name: string, value: number, limit: number): Bar {
  return { ...atMost(name, value, limit, String), isCount: true };
}

export function atLeast(name: string, value: number, limit: number, unit = ratio): Bar {
  return { name, measured: unit(value), limit: `≥ ${unit(limit)}`, holds: value >= limit };
}

export function shown(name: string, value: number, unit = ratio): Bar {
  return { name, measured: unit(value), limit: '', holds: true };
}

export function ratio(value: number): string {
  return `${value.toFixed(2)}x`;
}

export function us(value: number): string {
  return `${value.toFixed(1)} µs`;
}
