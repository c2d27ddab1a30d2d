import type { ModulesContainer } from '@nestjs/core';

export interface ProviderInstance {
  readonly name: string;
  /** Of one that is made per request: a prototype. */
  readonly instance: unknown;
  readonly isPerRequest: boolean;
}

/** The providers of an application, by name. */
export function* providersOf(modules: ModulesContainer): Generator<ProviderInstance> {
  for (const { providers } of modules.values()) {
    for (const [token, wrapper] of providers) {
      const name = typeof token === 'function' ? token.name : String(token);
      yield { name, instance: wrapper.instance as unknown, isPerRequest: !wrapper.isDependencyTreeStatic() };
    }
  }
}
