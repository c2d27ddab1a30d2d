import { jsonPath, type PathSegment } from '../wire/json.ts';

/** Where the data at hand is, one step from where it was found: paths are written for errors only. */
export class Place {
  readonly #from: Place | (() => readonly PathSegment[]);
  readonly #steps: readonly PathSegment[];

  constructor(from: Place | (() => readonly PathSegment[]), ...steps: readonly PathSegment[]) {
    this.#from = from;
    this.#steps = steps;
  }

  get path(): string {
    return jsonPath(this.#segments());
  }

  #segments(): PathSegment[] {
    const above = this.#from instanceof Place ? this.#from.#segments() : this.#from();
    return [...above, ...this.#steps];
  }
}
