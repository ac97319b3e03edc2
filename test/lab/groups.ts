import { eventually } from './eventually.ts';
import type { LabMaster } from './pair.ts';
import { ssldir } from './provision.ts';

const api = (host: LabMaster): string => `https://${host.fqdn}:4433/classifier-api/v1/groups`;
const curl = ({ fqdn }: LabMaster): string =>
  `curl -sf --cacert ${ssldir}/certs/ca.pem --cert ${ssldir}/certs/${fqdn}.pem --key ${ssldir}/private_keys/${fqdn}.pem -H 'Content-Type: application/json'`;

/** Names of the node groups, as the API of that host's console gives them. */
export async function groupNames(host: LabMaster): Promise<string[]> {
  const groups = JSON.parse(await host.sh(`${curl(host)} ${api(host)}`, { timeoutMs: 60_000 })) as { name: string }[];
  return groups.map(({ name }) => name).sort();
}

/** Creates groups `LABEL FROM` to `LABEL TO`, one after the other. */
export async function createGroups(host: LabMaster, label: string, from: number, to: number): Promise<void> {
  const root = '00000000-0000-4000-8000-000000000000';
  const body = `{"name":"${label} NUMBER","parent":"${root}","environment":"production","classes":{}}`;
  const one = `echo '${body}' | sed "s/NUMBER/$n/" | ${curl(host)} -X POST -d @- ${api(host)}`;
  await host.sh(`for n in $(seq ${from} ${to}); do ${one} || exit 1; done`, { timeoutMs: 300_000 });
}

export const untilGroupsEqual = (a: LabMaster, b: LabMaster, withinMs = 120_000): Promise<unknown> =>
  eventually(
    'the node groups are the same',
    async () => {
      const [own, others] = await Promise.all([groupNames(a), groupNames(b)]);
      return JSON.stringify(own) === JSON.stringify(others);
    },
    { withinMs, everyMs: 300 },
  );
