import type {
  ConsumerDeserializer,
  ConsumerSerializer,
  ProducerDeserializer,
  ProducerSerializer,
} from '@nestjs/microservices';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ClientPair } from './client-pair.ts';
import { MessageCodec } from './message-codec.ts';
import type { MessageOptions } from './options.ts';
import { ServerPair } from './server-pair.ts';

/** What the options of a transport take. */
export interface TransportPair<Serializer, Deserializer> {
  /** Writes what goes out. */
  readonly serializer: Serializer;
  /** Reads what comes in. */
  readonly deserializer: Deserializer;
}

/** A pair for each side of a transport. */
export interface MessagePairs {
  /** For `createMicroservice` and `connectMicroservice`. */
  readonly server: TransportPair<ConsumerSerializer, ConsumerDeserializer>;
  /** For `ClientsModule` and `ClientProxyFactory`. */
  readonly client: TransportPair<ProducerSerializer, ProducerDeserializer>;
}

/**
 * Entities in messages and replies, by reference: for the options of a transport of `@nestjs/microservices`, of whatever
 * kind: `{ transport: Transport.TCP, options: { port, ...messagesByReference(serializer).server } }`, and `client` on the
 * other side.
 *
 * Handlers get the current rows by ByReferenceInterceptor; whoever has sent a message gets those of the reply in the
 * EntityManager of its own request context or transaction.
 * @throws E_INVALID_OPTION.
 */
export function messagesByReference(serializer: EntitySerializer, options: MessageOptions = {}): MessagePairs {
  const codec = new MessageCodec(serializer, options);
  const [server, client] = [new ServerPair(codec), new ClientPair(codec)];
  return {
    server: {
      serializer: { serialize: (packet) => server.write(packet) },
      deserializer: { deserialize: (value, given) => server.read(value, given?.['channel']) },
    },
    client: {
      serializer: { serialize: (packet) => client.write(packet) },
      deserializer: { deserialize: (value) => client.read(value) },
    },
  };
}
