/** The part of `pg.Pool` that graphile-worker takes the connection from that listens. */
interface Pool {
  connect(callback?: ConnectCallback): unknown;
}

type ConnectCallback = (error: unknown, client: unknown, release: (error?: unknown) => void) => void;

/** Also by another copy of this package. */
const RELEASES_ONCE = Symbol.for('mikro-orm-byref.releasesOnce');

/**
 * graphile-worker 0.18 releases the connection that listens twice where it is lost while its runner stops. The pool
 * throws then, where nobody can catch it, and the process ends.
 */
export function releaseOnce(pool: object): void {
  if (Object.hasOwn(pool, RELEASES_ONCE)) return;
  Reflect.defineProperty(pool, RELEASES_ONCE, { value: true });
  const { connect } = pool as Pool;
  (pool as Pool).connect = (callback) =>
    callback === undefined ? connect.call(pool) : connect.call(pool, onceReleasing(callback));
}

function onceReleasing(callback: ConnectCallback): ConnectCallback {
  return (error, client, release) => {
    let isOut = true;
    callback(error, client, (reason) => {
      if (isOut) release(reason);
      isOut = false;
    });
  };
}
