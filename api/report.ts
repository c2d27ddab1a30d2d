import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';
import manifest from '../package.json' with { type: 'json' };

/** Writes what each entry point exports to api/*.api.md: `npm run api`. With --check, compares: part of `npm run check`. */
const root = fileURLToPath(new URL('../', import.meta.url));
const check = process.argv.includes('--check');

/** True when the report differed from what is checked in. */
function report(name: string, types: string): boolean {
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: `${root}${types}`,
      newlineKind: 'lf',
      compiler: { tsconfigFilePath: `${root}tsconfig.build.json` },
      apiReport: {
        enabled: true,
        reportFileName: name,
        reportFolder: `${root}api`,
        reportTempFolder: `${root}build/api`,
        // Types that signatures name and nobody can import; those of a sub-path are mostly exports of the root.
        includeForgottenExports: name === 'index',
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: `${root}package.json`,
  });
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: !check,
    messageCallback: (message) => {
      message.handled = message.logLevel !== ExtractorLogLevel.Error;
    },
  });
  return apiReportChanged;
}

rmSync(`${root}build/api`, { recursive: true, force: true });
const changed = Object.entries(manifest.exports).flatMap(([path, target]) => {
  if (typeof target === 'string') return [];
  const name = path === '.' ? 'index' : path.slice(2);
  return report(name, target.types) ? [`api/${name}.api.md`] : [];
});
if (changed.length > 0) {
  process.stdout.write(check ? `The API is not that of ${changed.join(', ')}:\n` : `Written: ${changed.join(', ')}\n`);
  if (check) process.stdout.write('If the change is meant, commit what `npm run api` writes.\n');
}
process.exitCode = check && changed.length > 0 ? 1 : 0;
