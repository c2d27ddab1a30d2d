import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig, ExtractorLogLevel, type ExtractorMessage } from '@microsoft/api-extractor';

/** An entry point of the package, by its declarations. */
export interface Entry {
  readonly name: string;
  /** Its declarations, from the root of the repository on. */
  readonly types: string;
}

/** What is said of an entry point. */
export interface Extracted {
  /** Its report differs from what is checked in; with `write` it is written. */
  readonly changed: boolean;
  /** What is wrong with its docstrings, one line each. */
  readonly faults: readonly string[];
}

const root = fileURLToPath(new URL('../', import.meta.url));

/** A public member without a docstring, a `{@link}` to nowhere, a tag that is none. */
const isFault = ({ messageId: id, text }: ExtractorMessage): boolean =>
  id === 'ae-unresolved-link' ||
  (id.startsWith('tsdoc-') && !text.includes('"@module"')) ||
  // A class that extends what a call returns: the compiler gives that a name, and nobody can import it.
  (id === 'ae-undocumented' && !text.includes('_base"'));

/** Reads the declarations of an entry point: its report in `folder`, and what is wrong with its docstrings. */
export function extract({ name, types }: Entry, { folder = 'api', write = false } = {}): Extracted {
  const temporary = `${root}build/api`;
  mkdirSync(temporary, { recursive: true });
  const model = `${temporary}/${name}.api.json`;
  const logged = { logLevel: ExtractorLogLevel.Warning };
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: `${root}${types}`,
      newlineKind: 'lf',
      compiler: { tsconfigFilePath: `${root}tsconfig.build.json` },
      apiReport: {
        enabled: true,
        reportFileName: name,
        reportFolder: `${root}${folder}`,
        reportTempFolder: temporary,
        // Types that signatures name and nobody can import; those of a sub-path are mostly exports of the root.
        includeForgottenExports: name === 'index',
      },
      docModel: { enabled: true, apiJsonFilePath: model },
      messages: {
        extractorMessageReporting: { 'ae-undocumented': logged, 'ae-unresolved-link': logged },
        tsdocMessageReporting: { default: logged },
      },
    } as never,
    configObjectFullPath: undefined,
    packageJsonFullPath: `${root}package.json`,
  });
  const faults: string[] = [];
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: write,
    messageCallback: (message) => {
      message.handled = message.logLevel !== ExtractorLogLevel.Error;
      if (!isFault(message)) return;
      faults.push(`${message.sourceFilePath?.replace(root, '')}:${message.sourceFileLine} ${message.text}`);
    },
  });
  const { members } = JSON.parse(readFileSync(model, 'utf8')) as Item;
  return { changed: apiReportChanged, faults: [...faults, ...withoutDefault(members ?? [])] };
}

/** What of API Extractor's model is read here. */
interface Item {
  readonly kind: string;
  readonly name?: string;
  readonly docComment?: string;
  readonly isOptional?: boolean;
  readonly members?: readonly Item[];
}

/** Interfaces of which each member may be left out. */
const OPTIONS = /(?:Options|Defaults|Limits|Setup)$/;

function withoutDefault(items: readonly Item[]): string[] {
  return items.flatMap(({ kind, name, members = [] }) => {
    if (kind === 'EntryPoint') return withoutDefault(members);
    if (kind !== 'Interface' || !OPTIONS.test(name!)) return [];
    return members
      .filter((member) => member.isOptional === true && !member.docComment?.includes('@defaultValue'))
      .map((member) => `${name}.${member.name} has no @defaultValue`);
  });
}
