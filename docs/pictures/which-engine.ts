import type { Drawing } from './drawing.ts';

/** guides/jobs: its table of engines, as questions. */
export const whichEngine: Drawing = {
  title: 'Which engine',
  rows: ['', '', '', ''],
  boxes: {
    tests: { row: 0, x: 2, width: 380, text: ['Only for tests and development?'] },
    inline: { row: 0, x: 470, width: 248, text: ['`inlineEngine()`', 'nothing to install or to start'], tone: 'token' },
    database: {
      row: 1,
      x: 2,
      width: 380,
      text: [
        'Jobs in the application’s own PostgreSQL?',
        'They are part of its transactions, and can',
        'have their effects exactly once.',
      ],
    },
    redis: {
      row: 1,
      x: 470,
      width: 248,
      text: ['BullMQ on Redis', 'enqueued after the commit,', 'effects at least once'],
      tone: 'token',
    },
    known: { row: 2, x: 2, width: 716, text: ['Is one of them in use already, or what you know?'] },
    boss: { row: 3, x: 2, width: 224, text: ['pg-boss'], tone: 'token' },
    bull: { row: 3, x: 248, width: 224, text: ['BullMQ on PostgreSQL'], tone: 'token' },
    graphile: { row: 3, x: 494, width: 224, text: ['graphile-worker'], tone: 'token' },
  },
  arrows: [
    { from: 'tests', to: 'inline', text: 'yes' },
    { from: 'tests', to: 'database', text: 'no' },
    { from: 'database', to: 'redis', text: 'no' },
    { from: 'database', to: 'known', text: 'yes' },
    { from: 'known', to: 'boss', text: 'no, or pg-boss' },
    { from: 'known', to: 'bull', text: 'BullMQ' },
    { from: 'known', to: 'graphile', text: 'graphile-worker' },
  ],
};
