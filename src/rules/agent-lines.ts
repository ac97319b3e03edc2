/** What an admin of an open-source Puppet writes, so that agents go to either master: lines, not to be wrapped. */
export function agentLines(own: string, spare: string): string[] {
  const list = `${own}:8140,${spare}:8140`;
  return [
    'There is no classifier here that tells agents where to go. Write it where you configure them.',
    '',
    'In puppet.conf of each agent, in [main], in place of server and ca_server:',
    '',
    `    server_list = ${list}`,
    '',
    'Or in Hiera, for the module puppetlabs-puppet_agent:',
    '',
    '    puppet_agent::config:',
    '      - {section: main, setting: server, ensure: absent}',
    `      - {section: main, setting: server_list, value: '${list}'}`,
    '',
    'The masters themselves keep their own name in server and ca_server.',
    `To see that it works, on any node: puppet agent -t --noop --server_list=${spare}`,
  ];
}

export const agentLinesBack = (own: string, spare: string): string[] => [
  `Take ${spare}:8140 out of server_list where you configure agents (puppet.conf, or Hiera); ${own}:8140 stays.`,
];
