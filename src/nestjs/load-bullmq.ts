import { type DynamicModule, Module } from '@nestjs/common';

class WithoutBullMq {}

Module({})(WithoutBullMq);

/** What an application with @nestjs/bullmq needs; nothing where it is not installed. */
export async function bullMqModule(): Promise<DynamicModule> {
  try {
    await import('@nestjs/bullmq');
  } catch (error) {
    if (isAbsent(error)) return { module: WithoutBullMq };
    throw error;
  }
  return (await import('./bullmq.ts')).bullMqModule();
}

/** Not when something else is missing that it needs: the message then has its path. */
function isAbsent(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return false;
  return /(?<![\\/])@nestjs\/bullmq(?![\\/])/.test(String(message));
}
