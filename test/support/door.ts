import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a server that can be shut: its connections are cut, and new ones refused until it is opened again. */
export class Door {
  /** The server's URL, through the door. */
  readonly url: string;
  readonly #server: Server;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #answer: Buffer | undefined;

  private constructor(server: Server, url: URL) {
    this.#server = server;
    this.#port = (server.address() as { port: number }).port;
    this.url = Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(this.#port) }).href;
    const { hostname, port } = url;
    server.on('connection', (client) => {
      const answer = this.#answer;
      if (answer === undefined) this.#join(client, connect(Number(port), hostname));
      else client.on('error', () => undefined).once('data', () => client.end(answer));
    });
  }

  static async before(url: string): Promise<Door> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Door(server, new URL(url));
  }

  /** With an answer, that is all that whoever comes gets. */
  async open(answer?: Buffer): Promise<void> {
    this.#answer = answer;
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async shut(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket, server: Socket): void {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
