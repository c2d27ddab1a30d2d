/** Methods of pg-boss, by their names. */
export type Methods = Readonly<Record<string, Method>>;

export type Method = (...args: unknown[]) => unknown;
