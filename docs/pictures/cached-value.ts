import type { Drawing } from './drawing.ts';

/** guides/caching: what time does to a value, and what a commit does. */
export const cachedValue: Drawing = {
  title: 'A cached value: hit, old and stale',
  rows: ['# Only time passes', 'the value', 'calls', '# A commit changes a row of it', 'the value', 'calls'],
  boxes: {
    fresh: { row: 1, x: 100, width: 226, text: ['fresh', 'for `ttlMs`'], tone: 'good' },
    old: { row: 1, x: 334, width: 234, text: ['old', 'for `graceMs`'], tone: 'old' },
    gone: { row: 1, x: 576, width: 142, text: ['gone'] },
    made: { row: 2, x: 100, width: 104, text: ['miss:', 'it is made'] },
    hit: { row: 2, x: 222, width: 104, text: ['hit: the', 'current rows'] },
    served: { row: 2, x: 334, width: 234, text: ['the old value at once,', 'while one refresh runs behind'] },
    remade: { row: 2, x: 576, width: 142, text: ['miss:', 'it is made anew'] },
    fresh2: { row: 4, x: 100, width: 226, text: ['fresh'], tone: 'good' },
    stale: { row: 4, x: 334, width: 150, text: ['✗ stale: not served'], tone: 'bad' },
    fresh3: { row: 4, x: 492, width: 226, text: ['fresh'], tone: 'good' },
    made2: { row: 5, x: 100, width: 104, text: ['miss:', 'it is made'] },
    hit2: { row: 5, x: 222, width: 104, text: ['hit: the', 'current rows'] },
    remade2: { row: 5, x: 492, width: 114, text: ['miss: it is', 'made anew'] },
    hit3: { row: 5, x: 614, width: 104, text: ['hit: the', 'current rows'] },
  },
  arrows: [
    { from: 'made', to: 'fresh' },
    { from: 'fresh', to: 'hit' },
    { from: 'old', to: 'served' },
    { from: 'made2', to: 'fresh2' },
    { from: 'fresh2', to: 'hit2' },
    { from: 'remade2', to: 'fresh3' },
    { from: 'fresh3', to: 'hit3' },
  ],
  marks: [{ x: 330, rows: [4, 5], text: 'commit' }],
};
