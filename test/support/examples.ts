import { readdirSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

export const readme = read('README.md');
/** The README, whose model.ts the guides' examples import, and docs. */
export const pages: readonly string[] = [
  readme,
  ...readdirSync(new URL('docs', root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .map((name) => read(`docs/${name}`)),
];

/** A TypeScript block of the pages, which starts with a comment naming its file: `// reminder.ts`. */
export interface Example {
  readonly name: string;
  readonly code: string;
  /** Has decorators, which Node can't strip: its first line says `npx tsx`. */
  readonly needsTsx: boolean;
  readonly needsRedis: boolean;
  /** The runner whose tests it has, by its first line. */
  readonly runner: 'jest' | 'vitest' | undefined;
  /** What it prints, by its comments; none for a module of other examples. */
  readonly prints: readonly string[];
  /** The arguments of the `npm install` that its section names, and the head of its chapter. */
  readonly installs: readonly string[];
}

export const examples: readonly Example[] = pages.flatMap((page) =>
  page.split(/^(?=## )/m).flatMap((chapter) => {
    const [head, ...sections] = chapter.split(/^(?=### )/m);
    return [head!, ...sections].flatMap((section) => {
      const installs = [...new Set([...installsOf(head!), ...installsOf(section)])];
      return Array.from(section.matchAll(/```ts\n\/\/ (\S+)\.ts([^\n]*)\n(.*?)```/gs), ([, name, note, code]) => ({
        name: name!,
        code: code!,
        needsTsx: note!.includes('npx tsx'),
        needsRedis: code!.includes('REDIS_URL'),
        runner: (['vitest', 'jest'] as const).find((runner) => note!.includes(runner)),
        prints: Array.from(code!.matchAll(/\/\/ → (.*)/g), ([, line]) => line!),
        installs,
      }));
    });
  }),
);

/** The arguments of each `npm install` in a text, in a block or within a sentence. */
export function installsOf(text: string): string[] {
  return Array.from(text.matchAll(/npm install ([^`\n]+)/g), ([, packages]) => packages!);
}

/** The example with its databases, `byref_…`, under names of this run: a reader may have made them for real. */
export function withDatabasesOf(run: string, code: string): string {
  return code.replaceAll(/'(byref_\w+)'/g, `'$1_${run}'`);
}
