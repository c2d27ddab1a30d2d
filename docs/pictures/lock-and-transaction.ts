import type { Drawing } from './drawing.ts';

/** guides/locks: a lock around the transaction, and one inside it. */
export const lockAndTransaction: Drawing = {
  title: 'A lock around the transaction, and one inside it',
  rows: [
    '# ✓ Around: the next one begins after the commit',
    'A',
    'B',
    '# ✗ Inside: the next one reads before the commit',
    'A',
    'B',
  ],
  boxes: {
    lock: { row: 1, x: 60, width: 56, text: ['lock'], tone: 'token' },
    begin: { row: 1, x: 124, width: 60, text: ['begin'] },
    read: { row: 1, x: 192, width: 92, text: ['read: 100'] },
    write: { row: 1, x: 292, width: 92, text: ['write: 90'] },
    commit: { row: 1, x: 392, width: 72, text: ['commit'] },
    release: { row: 1, x: 472, width: 76, text: ['release'], tone: 'token' },
    waits: { row: 2, x: 124, width: 340, text: ['waits for the lock'] },
    next: { row: 2, x: 472, width: 76, text: ['lock'], tone: 'token' },
    begin2: { row: 2, x: 556, width: 60, text: ['begin'] },
    current: { row: 2, x: 624, width: 94, text: ['✓ read: 90'], tone: 'good' },
    begin3: { row: 4, x: 60, width: 60, text: ['begin'] },
    lock3: { row: 4, x: 128, width: 56, text: ['lock'], tone: 'token' },
    read3: { row: 4, x: 192, width: 92, text: ['read: 100'] },
    write3: { row: 4, x: 292, width: 92, text: ['write: 90'] },
    release3: { row: 4, x: 392, width: 76, text: ['release'], tone: 'token' },
    commit3: { row: 4, x: 646, width: 72, text: ['commit'] },
    begin4: { row: 5, x: 60, width: 60, text: ['begin'] },
    waits4: { row: 5, x: 192, width: 192, text: ['waits for the lock'] },
    next4: { row: 5, x: 392, width: 76, text: ['lock'], tone: 'token' },
    stale: { row: 5, x: 476, width: 162, text: ['✗ read: 100 still'], tone: 'bad' },
  },
  arrows: [
    { from: 'release', to: 'next' },
    { from: 'release3', to: 'next4' },
  ],
};
