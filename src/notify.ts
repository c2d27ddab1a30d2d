/** Tells somebody who may fail: what `listener` throws, or rejects with, goes to `failed`, and nowhere else. */
export function notify<Report>(
  listener: (report: Report) => unknown,
  report: Report,
  failed: (failure: unknown) => void,
): void {
  (async () => listener(report))().catch(failed);
}
