import { Logger } from 'graphile-worker';

/** What tests give graphile-worker: it looks often, and tells nothing. */
export const runnerOptions = (connectionString: string) => ({
  connectionString,
  pollInterval: 200,
  noHandleSignals: true,
  logger: new Logger(() => () => undefined),
});
