import type { Drawing } from './drawing.ts';

/** Start page and README. */
export const staleCopy: Drawing = {
  title: 'A copy in a job goes stale, a token does not',
  rows: ['by value', 'the row', 'by reference'],
  boxes: {
    copy: { row: 0, x: 100, width: 250, text: ['job: a copy', '`{"id":1,"email":"ann@old…"}`'] },
    stale: { row: 0, x: 500, width: 218, text: ['✗ mails ann@old.example', 'the copy went stale'], tone: 'bad' },
    old: { row: 1, x: 100, width: 300, text: ['user 1: ann@old.example'] },
    current: { row: 1, x: 420, width: 298, text: ['user 1: ann@new.example'] },
    token: { row: 2, x: 100, width: 250, text: ['job: a token', '`{"$entity":["User",1]}`'], tone: 'token' },
    fresh: { row: 2, x: 500, width: 218, text: ['✓ mails ann@new.example', 'the current row'], tone: 'good' },
  },
  arrows: [
    { from: 'old', to: 'copy', text: 'copied' },
    { from: 'old', to: 'token', text: 'named' },
    { from: 'copy', to: 'stale', text: 'worker, later' },
    { from: 'token', to: 'fresh', text: 'worker, later' },
    { from: 'current', to: 'fresh', text: 'one query' },
    { from: 'old', to: 'current' },
  ],
};
