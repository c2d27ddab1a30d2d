import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type DefaultTheme, defineConfig, type MarkdownOptions } from 'vitepress';
import llmstxt from 'vitepress-plugin-llms';
import { anchorOf } from './anchor.ts';

const docs = resolve(import.meta.dirname, '..');
const apiSidebar = resolve(docs, 'reference/api/typedoc-sidebar.json');

/** A group of the sidebar: titles and paths. */
function group(text: string, items: Readonly<Record<string, string>>, isCollapsed?: boolean): DefaultTheme.SidebarItem {
  return {
    text,
    ...(isCollapsed !== undefined && { collapsed: isCollapsed }),
    items: Object.entries(items).map(([title, link]) => ({ text: title, link })),
  };
}

const sidebar: DefaultTheme.SidebarItem[] = [
  group('Start', {
    'Why tokens': '/start/why',
    'Quick start': '/start/quick-start',
    'Nest quick start': '/start/nest',
    'A cached page': '/start/cached-page',
    'From Rails, Laravel, Celery': '/start/coming-from',
  }),
  group('Concepts', {
    Tokens: '/concepts/tokens',
    'Freshness and identity': '/concepts/freshness',
    Timing: '/concepts/timing',
    Security: '/concepts/security',
    'Guarantees and limits': '/concepts/guarantees',
  }),
  group('Guides', {
    'Declaring entities': '/guides/declaring',
    'Serializing and reviving': '/guides/serializing',
    'Background jobs': '/guides/jobs',
    'Jobs: pg-boss’s own API': '/guides/pg-boss',
    'Jobs: BullMQ': '/guides/bullmq',
    'Jobs: graphile-worker': '/guides/graphile-worker',
    'Jobs: adapters and context': '/guides/adapters',
    Outbox: '/guides/outbox',
    NestJS: '/guides/nest',
    'An existing Nest application': '/guides/nest-existing-app',
    'Nest: processors': '/guides/nest-processors',
    'Nest: messages': '/guides/nest-messages',
    Locks: '/guides/locks',
    Caching: '/guides/caching',
    Signing: '/guides/signing',
    'Values and DTOs': '/guides/values',
    'Databases, tenants': '/guides/tenants',
    'REST answers': '/guides/rest',
    'Bundlers, Bun, Deno': '/guides/bundlers',
  }),
  group('Operations', {
    'Going to production': '/operations/production',
    'Graceful shutdown': '/operations/shutdown',
    Deploying: '/operations/deploying',
    Renames: '/operations/renames',
    'Failures and monitoring': '/operations/monitoring',
    Outages: '/operations/outages',
    'Looking into a payload': '/operations/inspect',
    Troubleshooting: '/operations/troubleshooting',
  }),
  group('Testing', {
    'Recording and running jobs': '/testing/recording',
    Jest: '/testing/jest',
    Vitest: '/testing/vitest',
  }),
  group('Recipes', {
    'One EntityManager per job': '/recipes/one-em-per-job',
    'Enqueue inside the transaction': '/recipes/enqueue-inside-the-transaction',
    'Worker before the commit': '/recipes/worker-runs-before-the-commit',
    'After-commit hooks': '/recipes/after-commit-hooks',
    'Entities in Redis': '/recipes/entities-in-redis-across-services',
    'Tests without Redis': '/recipes/queues-in-tests-without-redis',
    'Log failed jobs': '/recipes/log-failed-jobs',
    'Cron on one replica': '/recipes/cron-on-one-replica',
    'The tenant in jobs': '/recipes/tenant-context-in-jobs',
    'Jest with ESM': '/recipes/jest-with-esm',
  }),
  group('Reference', {
    Options: '/reference/options',
    Errors: '/reference/errors',
    Engines: '/reference/engines',
    Databases: '/reference/databases',
    'The command': '/reference/command',
    'Wire format': '/reference/wire-format',
    Benchmarks: '/reference/benchmarks',
    Changelog: '/reference/changelog',
  }),
  {
    text: 'API',
    collapsed: true,
    items: existsSync(apiSidebar) ? (JSON.parse(readFileSync(apiSidebar, 'utf8')) as DefaultTheme.SidebarItem[]) : [],
  },
];

/** Files of the repository that are no pages of the site are named, not linked. */
const nameRepositoryFiles: NonNullable<MarkdownOptions['config']> = (md) => {
  md.core.ruler.push('repository-files', ({ tokens, env }) => {
    const page = (env as { path?: string }).path ?? docs;
    for (const inline of tokens) {
      let isOutside = false;
      for (const token of inline.children ?? []) {
        const href = token.type === 'link_open' ? token.attrGet('href') : null;
        // The changelog, which is included, names pages from the root of the repository.
        if (href !== null && href.startsWith('docs/')) token.attrSet('href', href.replace('docs', ''));
        if (href !== null && href.startsWith('..')) {
          isOutside = !resolve(dirname(page), href).startsWith(`${docs}/`);
        }
        if (!isOutside || (token.type !== 'link_open' && token.type !== 'link_close')) continue;
        isOutside = token.type !== 'link_close';
        Object.assign(token, { content: token.type === 'link_open' ? '<span>' : '</span>', type: 'html_inline' });
      }
    }
  });
};

export default defineConfig({
  title: 'mikro-orm-byref',
  description:
    'MikroORM entities travel through job queues, caches and messages as tokens, and come back as the current row',
  cleanUrls: true,
  lastUpdated: false,
  markdown: { config: nameRepositoryFiles, anchor: { slugify: anchorOf } },
  // llms.txt, and each page as Markdown.
  vite: { plugins: [llmstxt({ ignoreFiles: ['reference/api/**'] })] },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Quick start', link: '/start/quick-start' },
      { text: 'Nest', link: '/start/nest' },
      { text: 'Jobs', link: '/guides/jobs' },
      { text: 'Troubleshooting', link: '/operations/troubleshooting' },
    ],
    sidebar,
  },
});
