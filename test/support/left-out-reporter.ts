import { wantedBy } from './servers.ts';

interface Results {
  readonly testResults: readonly { readonly testResults: readonly { readonly fullName: string }[] }[];
}

/** Ends a run of Jest with what it left out for want of a server: nothing, or with ALL_SERVERS=true it has failed. */
export default class LeftOutReporter {
  #count = 0;

  onRunComplete(_contexts: unknown, { testResults }: Results): void {
    const counts: Record<string, number> = {};
    for (const { fullName } of testResults.flatMap((file) => file.testResults)) {
      const server = wantedBy(fullName);
      if (server !== undefined) counts[server] = (counts[server] ?? 0) + 1;
    }
    this.#count = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const each = Object.entries(counts).map((entry) => entry.join(' '));
    const details = each.length > 0 ? ` (${each.toSorted().join(', ')})` : '';
    process.stderr.write(`Left out for want of a server: ${this.#count} tests${details}\n`);
  }

  /** Jest fails where a reporter has an error. */
  getLastError(): Error | undefined {
    return process.env['ALL_SERVERS'] === 'true' && this.#count > 0 ? new Error('A server is missing.') : undefined;
  }
}
