/** What a run must hold, and how it is written. */

export interface Bar {
  readonly name: string;
  readonly measured: string;
  /** Empty where the number is only shown. */
  readonly limit: string;
  readonly holds: boolean;
}

export function atMost(name: string, value: number, limit: number, unit = ratio): Bar {
  return { name, measured: unit(value), limit: `≤ ${unit(limit)}`, holds: value <= limit };
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
