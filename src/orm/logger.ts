import type { MikroORM } from '@mikro-orm/core';

/** A line of MikroORM's logger, also where `debug` is off, which keeps everything else from it. */
export function logError({ config }: Pick<MikroORM, 'config'>, message: string): void {
  config.getLogger().error('info', message, { label: 'mikro-orm-byref', enabled: true });
}
