import { readFileSync } from 'node:fs';
import type { Terminal } from './terminal.ts';

const page = readFileSync(new URL('../operations/inspect.md', import.meta.url), 'utf8');

/** operations/inspect: the block that the page prints, with notes. */
export const inspectedJob: Terminal = {
  title: 'byref inspect in a terminal',
  lines: /```sh\n(\$ npx byref inspect .*?)\n```/s.exec(page)![1]!.split('\n'),
  notes: {
    '$.to ': 'where it is, model, key, version',
    'row of user': 'changed since it was enqueued',
    'email ': 'the row as it is now, not a copy',
    'author ': 'references are tokens too',
    'missing:': 'why the job has failed',
  },
};
