import { type Manifest, modelNow } from './manifest.ts';
import type { PropertyFacts, ShapeFacts } from './shapes.ts';

/** The application then and now. */
export interface ShapeReader {
  readonly before: Manifest;
  readonly now: Manifest;
}

export interface ShapeProblem {
  readonly problem: string;
  readonly advice: string;
}

/** Why data of a shape of then does not all fit one of now; empty where it does. */
export function compareShapes(reader: ShapeReader, old: string, shape: string): readonly ShapeProblem[] {
  return new ShapeComparison(reader).compare(old, shape);
}

const KEEP = 'keep what it took';
const UPGRADE = 'or read what waits by upgrade: { from, to }';

/** The same of a value object that no DTO declares: it is held to its references alone. */
export function compareValues(reader: ShapeReader, old: string, shape: string): readonly ShapeProblem[] {
  return new ShapeComparison(reader).compareReferences(old, shape);
}

class ShapeComparison {
  readonly #reader: ShapeReader;
  /** Pairs that are being compared, or were. */
  readonly #met = new Set<string>();

  constructor(reader: ShapeReader) {
    this.#reader = reader;
  }

  compare(old: string, shape: string, isValue = false): ShapeProblem[] {
    if (this.#hasMet(old, shape)) return [];
    const [before, now] = [this.#reader.before.shapes[old]!, this.#reader.now.shapes[shape]!];
    const problems: ShapeProblem[] = [];
    for (const [key, property] of Object.entries(before)) {
      const own = now[key];
      // What a value object does not know of is its own business, as long as it names nothing.
      if (own === undefined && isValue && this.#isPlain(property)) continue;
      if (own === undefined) {
        const advice = `keep it with optional: true, ${UPGRADE}`;
        problems.push({ problem: `${shape} has no "${key}" any more`, advice });
      } else {
        const problem = this.#property(property, own, `${shape}.${key}`);
        if (problem !== undefined) problems.push({ problem, advice: `${KEEP}, ${UPGRADE}` });
      }
    }
    for (const [key, { optional }] of Object.entries(now)) {
      if (optional || (Object.hasOwn(before, key) && before[key]!.optional !== true)) continue;
      const advice = `optional: true or an initial value, ${UPGRADE}`;
      problems.push({ problem: `${shape}.${key} is required, and jobs that wait may lack it`, advice });
    }
    return problems;
  }

  compareReferences(old: string, shape: string): ShapeProblem[] {
    if (this.#hasMet(old, shape)) return [];
    const [before, now] = [this.#reader.before.shapes[old]!, this.#reader.now.shapes[shape]!];
    return Object.entries(before).flatMap(([key, property]) => {
      const own = now[key];
      if (own?.object !== undefined && property.object !== undefined) {
        return this.compareReferences(property.object, own.object);
      }
      if (own?.reference === undefined) return [];
      const problem = this.#property(property, own, `${shape}.${key}`);
      return problem === undefined ? [] : [{ problem, advice: KEEP }];
    });
  }

  /** A shape may hold itself. */
  #hasMet(old: string, shape: string): boolean {
    const pair = JSON.stringify([old, shape]);
    const hasMet = this.#met.has(pair);
    this.#met.add(pair);
    return hasMet;
  }

  /** The first problem that a property has with what it held; `at` is where. */
  #property(before: PropertyFacts, now: PropertyFacts, at: string): string | undefined {
    if (isAnyData(now)) return this.#isPlain(before) ? undefined : `${at} takes plain data only`;
    if (isAnyData(before)) return `${at} does not take plain data of any kind any more`;
    const content = this.#content(before, now, at);
    if (content !== undefined) return content;
    if (before.nullable === true && now.nullable !== true && now.data !== true) return `${at} takes no null any more`;
    if (before.each === now.each || (now.each === 'array?' && (before.each ?? 'array') === 'array')) return undefined;
    return `${at} holds ${SEVERAL[now.each ?? 'one']}, and held ${SEVERAL[before.each ?? 'one']}`;
  }

  #content(before: PropertyFacts, now: PropertyFacts, at: string): string | undefined {
    for (const kind of ['reference', 'copy'] as const) {
      if (before[kind] !== undefined && now[kind] !== undefined) return this.#models(before[kind], now[kind], at);
    }
    if (now.data !== undefined) return this.#isPlain(before) ? undefined : `${at} takes plain data only`;
    if (before.value !== undefined && now.value !== undefined) return this.#values(before.value, now.value, at);
    if (before.token !== undefined && now.token !== undefined) return undefined;
    if (before.object !== undefined && now.object !== undefined) return this.#firstOf(before.object, now.object);
    if (before.objects === undefined || now.objects?.by !== before.objects.by) return `${at} holds something else now`;
    for (const [name, shape] of Object.entries(before.objects.shapes)) {
      const own = now.objects.shapes[name];
      const problem =
        own === undefined ? `${at} takes no ${before.objects.by} "${name}" any more` : this.#firstOf(shape, own);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #firstOf(old: string, shape: string, isValue = false): string | undefined {
    return this.compare(old, shape, isValue)[0]?.problem;
  }

  /** A model that is gone altogether is told of as such. */
  #models(before: readonly string[], now: readonly string[], at: string): string | undefined {
    const lost = before.filter((name) => {
      const model = modelNow(name, this.#reader.now);
      return model !== undefined && !now.includes(model);
    });
    return lost.length === 0 ? undefined : `${at} takes no ${lost.join(', no ')} any more`;
  }

  #values(before: string, now: string, at: string): string | undefined {
    if (before !== now) return `${at} takes ${now}, and took ${before}`;
    const [old, shape] = [this.#reader.before.values[before]?.shape, this.#reader.now.values[now]?.shape];
    return old === undefined || shape === undefined ? undefined : this.#firstOf(old, shape, true);
  }

  /** True for data without anything that has a name. */
  #isPlain(property: PropertyFacts, met: ReadonlySet<string> = new Set()): boolean {
    if (isAnyData(property) || property.data === true) return true;
    const inner = property.objects === undefined ? [property.object] : Object.values(property.objects.shapes);
    return inner.every(
      (name) =>
        name !== undefined &&
        (met.has(name) ||
          Object.values<PropertyFacts>(this.#reader.before.shapes[name] as ShapeFacts).every((own) =>
            this.#isPlain(own, new Set([...met, name])),
          )),
    );
  }
}

const SEVERAL = {
  one: 'one',
  array: 'an array',
  'array?': 'one or an array',
  set: 'a Set',
  map: 'a Map',
} as const;

const isAnyData = ({ data, reference, object, objects, value, copy, token }: PropertyFacts): boolean =>
  [data, reference, object, objects, value, copy, token].every((content) => content === undefined);
