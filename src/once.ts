/** `run`, but once: per key, or once at all where it takes none. */
export interface Once<Result, Key = void> {
  /** Callers share one run. What it resolves with is remembered; a failure is forgotten, and the next call tries again. */
  (key: Key): Promise<Result>;
  /** The next call runs again. Returns what was remembered, or is under way. */
  forget(key: Key): Promise<Result> | undefined;
}

export function once<Result, Key = void>(run: (key: Key) => Promise<Result>): Once<Result, Key> {
  const results = new Map<Key, Promise<Result>>();
  const forget = (key: Key): Promise<Result> | undefined => {
    const result = results.get(key);
    results.delete(key);
    return result;
  };
  const call = (key: Key): Promise<Result> => {
    const known = results.get(key);
    if (known !== undefined) return known;
    const result = run(key);
    results.set(key, result);
    // Before any caller hears of the failure. A run that was forgotten meanwhile takes nothing from its successor.
    result.catch(() => results.get(key) === result && results.delete(key));
    return result;
  };
  return Object.assign(call, { forget });
}
