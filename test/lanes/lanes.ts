/** What `npm run ci` runs: each lane is npm scripts that anybody can run alone. */
export interface Lane {
  readonly name: string;
  /** Run one after the other; the first that fails ends the lane. */
  readonly scripts: readonly string[];
  /** Waits more than it works, so that it runs beside as many others as there are. */
  readonly waits?: true;
}

/** The README's first command, before all others and alone: as root, it makes what all servers of PostgreSQL share. */
export const FIRST: readonly Lane[] = [{ name: 'demo', scripts: ['demo'] }];

/** In the order in which they start, the longest first. */
export const LANES: readonly Lane[] = [
  { name: 'clock', scripts: ['test:clock'], waits: true },
  { name: 'test', scripts: ['test'] },
  { name: 'bare', scripts: ['test:bare'] },
  { name: 'mikro-orm-6', scripts: ['test:v6'] },
  { name: 'package', scripts: ['test:package', 'test:first-hour'] },
  { name: 'node-22', scripts: ['test:node-22'] },
  { name: 'mariadb', scripts: ['test:mariadb'] },
  { name: 'examples', scripts: ['test:examples'] },
  { name: 'examples-6', scripts: ['test:examples:6'] },
  { name: 'newest', scripts: ['test:newest'] },
  { name: 'bench', scripts: ['bench:short'] },
  { name: 'types', scripts: ['test:types:versions'] },
  { name: 'check', scripts: ['check:source', 'check:package'] },
  { name: 'browser', scripts: ['docs:build', 'test:browser'] },
];
