import { createClassifier, type Classifier, type ClassifierSettings } from '../../src/puppet/classifier.ts';
import { parseGroups, type Group } from '../../src/rules/groups.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createHttpClient, type HttpClient, type HttpIdentity } from '../../src/system/http-client.ts';
import { startClassifier, type ClassifierStandIn, type StandInOptions } from '../stand-in/classifier.ts';
import { createTlsAuthority, type Certificate, type TlsAuthority } from './tls-authority.ts';

export const signal = new AbortController().signal;

/** An authority with a server's and a client's certificate; `start` gives a stand-in, all of it ended by `close`. */
export interface ClassifierWorld {
  readonly authority: TlsAuthority;
  readonly server: Certificate;
  readonly client: Certificate;
  readonly identity: HttpIdentity;
  readonly http: HttpClient;
  start(options?: Partial<StandInOptions>): Promise<ClassifierStandIn>;
  classifierOf(standIn: ClassifierStandIn, settings?: Partial<ClassifierSettings>): Classifier;
  close(): Promise<void>;
}

export async function createWorld(): Promise<ClassifierWorld> {
  const authority = await createTlsAuthority();
  const [server, client] = [
    await authority.issue('masterb.example.com', ['IP:127.0.0.1']),
    await authority.issue('pe-failover.example.com'),
  ];
  const identity = { certificate: client.certPath, key: client.keyPath, ca: authority.caPath };
  const http = createHttpClient(identity);
  const running: ClassifierStandIn[] = [];
  return {
    authority,
    server,
    client,
    identity,
    http,
    start: async (options = {}) => {
      const standIn = await startClassifier({
        host: 'masterb.example.com',
        tls: { cert: server.cert, key: server.key, ca: authority.ca },
        allowlist: () => ['pe-failover.example.com'],
        tokens: ['good-token'],
        ...options,
      });
      running.push(standIn);
      return standIn;
    },
    classifierOf: (standIn, settings = {}) =>
      createClassifier({ http, url: standIn.url, clock: systemClock, readyMs: 5_000, ...settings }),
    close: async () => {
      await Promise.all(running.map((standIn) => standIn.close()));
      await authority.close();
    },
  };
}

/** What a tree holds, as the rules see it. */
export const groupsOf = (standIn: ClassifierStandIn): readonly Group[] =>
  parseGroups(JSON.stringify(standIn.tree.list()));
