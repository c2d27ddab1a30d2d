import { readdirSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

export const readme = read('README.md');
/** The README and the site's own pages: the API reference is made of the source. */
export const pages: readonly string[] = [
  readme,
  ...readdirSync(new URL('docs', root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !/^(?:\.vitepress|reference\/api)\//.test(name))
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
  /** The major of MikroORM that it is for, by its first line, which stands in a tab of its own; undefined for both. */
  readonly major: 6 | 7 | undefined;
  /** What it prints, by its comments; none for a module of other examples. */
  readonly prints: readonly string[];
  /** The arguments of the `npm install` that its section names, the head of its chapter, and that of its page. */
  readonly installs: readonly string[];
}

const BLOCK = /```ts(?: \[[^\]\n]*\])?\n\/\/ (\S+)\.ts([^\n]*)\n(.*?)```/gs;

export function examplesOf(page: string): Example[] {
  const [top, ...chapters] = page.split(/^(?=## )/m);
  return [top!, ...chapters].flatMap((chapter) => {
    const [head, ...sections] = chapter.split(/^(?=### )/m);
    return [head!, ...sections].flatMap((section) => {
      const installs = [...new Set([...installsOf(top!), ...installsOf(head!), ...installsOf(section)])];
      return Array.from(section.matchAll(BLOCK), ([, name, note, code]) => ({
        name: name!,
        major: ([6, 7] as const).find((major) => note!.includes(`MikroORM ${major}`)),
        code: code!,
        needsTsx: note!.includes('npx tsx'),
        needsRedis: `${note}${code}`.includes('REDIS_URL'),
        runner: (['vitest', 'jest'] as const).find((runner) => note!.includes(runner)),
        prints: Array.from(code!.matchAll(/\/\/ → (.*)/g), ([, line]) => line!),
        installs,
      }));
    });
  });
}

export const examples: readonly Example[] = pages.flatMap(examplesOf);

/** The arguments of each `npm install` in a text, in a block or within a sentence. */
export function installsOf(text: string): string[] {
  return Array.from(text.matchAll(/npm install ([^`\n]+)/g), ([, packages]) => packages!);
}

/** The tsconfig.json that a text gives its readers. */
export const tsconfigIn = (text: string): string | undefined =>
  /```json\n(\{\n {2}"compilerOptions".*?)```/s.exec(text)?.[1];

/** The example with its databases, `byref_…`, under names of this run: a reader may have made them for real. */
export function withDatabasesOf(run: string, code: string): string {
  return code.replaceAll(/'(byref_\w+)'/g, `'$1_${run}'`);
}
