import { cachedValue } from './cached-value.ts';
import { commitRace } from './commit-race.ts';
import { draw } from './drawing.ts';
import { inspectedJob } from './inspected-job.ts';
import { jobLife } from './job-life.ts';
import { lockAndTransaction } from './lock-and-transaction.ts';
import { staleCopy } from './stale-copy.ts';
import { drawTerminal } from './terminal.ts';
import { whichEngine } from './which-engine.ts';

/** Each picture of the pages by the name of its file in docs/public/pictures, as it is drawn. */
export const pictures: Readonly<Record<string, string>> = {
  'cached-value': draw(cachedValue),
  'commit-race': draw(commitRace),
  'inspected-job': drawTerminal(inspectedJob),
  'job-life': draw(jobLife),
  'lock-and-transaction': draw(lockAndTransaction),
  'stale-copy': draw(staleCopy),
  'which-engine': draw(whichEngine),
};
