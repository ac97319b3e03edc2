import { Client } from 'ssh2';
import { Failure } from '../errors.ts';

/** The key that a host's sshd shows, as `TYPE BASE64`. Nothing is sent and nobody logs in; trusting it is the admin's decision. */
export function captureHostKey(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = new Client();
    const where = `${host}:${port}`;
    const hint = `Is sshd running there? Try: ssh-keyscan -p ${port} ${host}`;
    const fail = (error: Error): void => {
      client.destroy();
      reject(
        new Failure('unreachable', 'the host key could not be read', { where, why: error.message, hint, cause: error }),
      );
    };
    client.on('error', fail);
    client.connect({
      host,
      port,
      username: 'pe-failover',
      readyTimeout: timeoutMs,
      algorithms: { serverHostKey: ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512'] },
      hostVerifier: (key: Buffer) => {
        client.removeListener('error', fail).on('error', () => undefined); // the refusal below is ours
        resolve(`${typeOf(key)} ${key.toString('base64')}`);
        setImmediate(() => client.destroy());
        return false;
      },
    });
  });
}

const typeOf = (blob: Buffer): string => blob.toString('latin1', 4, 4 + blob.readUInt32BE(0));
