import { ModuleRef, type ModulesContainer } from '@nestjs/core';

export interface ProviderInstance {
  /** What it is injected by. */
  readonly token: Parameters<ModuleRef['resolve']>[0];
  readonly name: string;
  /** Of one that is made per request: a prototype. */
  readonly instance: unknown;
  /** Its class; of what a factory makes, the factory. */
  readonly metatype: unknown;
  readonly isPerRequest: boolean;
  /** Made anew for each who asks for it. */
  readonly isTransient: boolean;
  /** Of the module that it belongs to. */
  readonly moduleRef: ModuleRef;
}

/** The providers of an application. */
export function* providersOf(modules: ModulesContainer): Generator<ProviderInstance> {
  for (const { providers } of modules.values()) {
    const moduleRef = providers.get(ModuleRef)?.instance as ModuleRef;
    for (const [token, wrapper] of providers) {
      yield {
        token,
        name: typeof token === 'function' ? token.name : String(token),
        instance: wrapper.instance as unknown,
        metatype: wrapper.metatype as unknown,
        isPerRequest: !wrapper.isDependencyTreeStatic(),
        isTransient: wrapper.isTransient,
        moduleRef,
      };
    }
  }
}
