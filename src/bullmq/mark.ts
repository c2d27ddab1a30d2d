const MARK = Symbol.for('mikro-orm-byref.bullmq');

/** Says of a queue, flow producer or worker that its data is by reference already: encoded twice, it would not be read. */
export const markByReference = (host: object): unknown => Object.defineProperty(host, MARK, { value: true });

export const isByReference = (host: object): boolean => MARK in host;
