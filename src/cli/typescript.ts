/** The part of MikroORM 7's `CLIHelper` that lets Node.js read TypeScript; MikroORM 6 has it in the core's `ConfigurationLoader`. */
interface CommandHelper {
  getSettings(): { preferTs?: boolean; tsConfigPath?: string; tsLoader?: never };
  registerTypeScriptSupport(tsConfigPath?: string, tsLoader?: never): Promise<boolean>;
}

interface ConfigurationLoader {
  getSettings(): { useTsNode?: boolean; tsConfigPath?: string };
  registerTsNode(tsConfigPath?: string): boolean;
}

/** What MikroORM's own command does before it reads a configuration. */
export async function prepareForTypeScript(helper: object): Promise<void> {
  const { ConfigurationLoader } = (await import('@mikro-orm/core')) as { ConfigurationLoader?: ConfigurationLoader };
  if (ConfigurationLoader !== undefined) {
    const { useTsNode, tsConfigPath } = ConfigurationLoader.getSettings();
    if (useTsNode !== false && !ConfigurationLoader.registerTsNode(tsConfigPath)) {
      process.env['MIKRO_ORM_CLI_USE_TS_NODE'] ??= '0';
    }
    return;
  }
  const command = helper as CommandHelper;
  const { preferTs, tsConfigPath, tsLoader } = command.getSettings();
  if (preferTs !== false && !(await command.registerTypeScriptSupport(tsConfigPath, tsLoader))) {
    process.env['MIKRO_ORM_CLI_PREFER_TS'] ??= '0';
  }
}
