import type { Drawing } from './drawing.ts';

/** concepts/timing: a job that is enqueued before, after and with the commit. */
export const commitRace: Drawing = {
  title: 'A job that is enqueued before, after and with the commit',
  rows: [
    '# Enqueued before the commit: the worker may be faster',
    'web',
    'worker',
    '# Enqueued after the commit: a process that dies in between loses the job',
    'web',
    'worker',
    '# Enqueued in the transaction: one commit brings both',
    'web',
    'worker',
  ],
  boxes: {
    begin: { row: 1, x: 100, width: 70, text: ['begin'] },
    insert: { row: 1, x: 186, width: 120, text: ['insert user 1'] },
    enqueue: { row: 1, x: 322, width: 90, text: ['enqueue'] },
    commit: { row: 1, x: 638, width: 80, text: ['commit'] },
    take: { row: 2, x: 322, width: 90, text: ['take job'] },
    none: { row: 2, x: 428, width: 190, text: ['✗ there is no user 1 yet'], tone: 'bad' },
    begin2: { row: 4, x: 100, width: 70, text: ['begin'] },
    insert2: { row: 4, x: 186, width: 120, text: ['insert user 1'] },
    commit2: { row: 4, x: 322, width: 90, text: ['commit'] },
    killed: { row: 4, x: 428, width: 190, text: ['✗ killed'], tone: 'bad' },
    nothing: { row: 5, x: 428, width: 190, text: ['✗ there is no job'], tone: 'bad' },
    begin3: { row: 7, x: 100, width: 70, text: ['begin'] },
    insert3: { row: 7, x: 186, width: 120, text: ['insert user 1'] },
    job: { row: 7, x: 322, width: 90, text: ['insert job'], tone: 'token' },
    commit3: { row: 7, x: 428, width: 90, text: ['commit'] },
    take3: { row: 8, x: 428, width: 90, text: ['take job'] },
    row: { row: 8, x: 538, width: 180, text: ['✓ user 1 is there'], tone: 'good' },
  },
  arrows: [
    { from: 'enqueue', to: 'take' },
    { from: 'commit3', to: 'take3' },
  ],
};
