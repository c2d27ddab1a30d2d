import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A server between a client and PostgreSQL that cuts a connection where it is told. */
export interface PostgresProxy {
  /** That of the database, through the proxy. */
  readonly url: string;
  /** `lose` cuts the connection once the server has answered; a number holds the answer back for so many milliseconds. */
  commitAnswer: 'pass' | 'lose' | number;
  /** Cuts all connections. */
  cut(): void;
  /** The start of a query, in lower case, at which the connection is cut, before the server has it. */
  cutAt: string | undefined;
  close(): Promise<void>;
}

/** Of a simple query (Q, its length, the text) or an extended one (P, its length, no name, the text). */
function queryOf(data: Buffer): string | undefined {
  if (data[0] === 0x51) return data.subarray(5).toString();
  return data[0] === 0x50 && data[5] === 0 ? data.subarray(6).toString() : undefined;
}

export async function openProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname);
    let isCommitting = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => void [client.destroy(), upstream.destroy(), sockets.delete(socket)]);
    }
    client.on('data', (data) => {
      const { cutAt } = proxy;
      if (cutAt !== undefined && queryOf(data)?.toLowerCase().startsWith(cutAt) === true) {
        client.destroy();
        return;
      }
      isCommitting = data[0] === 0x51 && /^commit;?\0$/i.test(data.subarray(5).toString());
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (!isCommitting || proxy.commitAnswer === 'pass') client.write(data);
      else if (proxy.commitAnswer === 'lose') client.destroy();
      else setTimeout(() => client.write(data), proxy.commitAnswer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const proxy: PostgresProxy = {
    url: Object.assign(new URL(databaseUrl), { hostname: '127.0.0.1', port: String(port) }).href,
    commitAnswer: 'pass',
    cutAt: undefined,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      proxy.cut();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
