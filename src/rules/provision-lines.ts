export interface ProvisionWords {
  /** Certname of this master. */
  readonly own: string;
  readonly spare: string;
  /** Directory of this program here. */
  readonly home: string;
  /** Of the CA here. */
  readonly fingerprint: string | undefined;
}

/** What to type on both hosts where no login goes from the one to the other, in its order. */
export function provisionLines({ own, spare, home, fingerprint }: ProvisionWords): string[] {
  return [
    `1. On ${own}: pack this program, and bring it to ${spare}`,
    '',
    `    tar -C ${home} -czf /root/pe_failover.tgz .`,
    '',
    `2. On ${spare}: unpack it`,
    '',
    '    mkdir -p /opt/pe_failover && tar -xzf pe_failover.tgz -C /opt/pe_failover',
    '    ln -sfn /opt/pe_failover/bin/pe-failover /usr/local/sbin/pe-failover',
    '',
    `3. On ${own}: install; the last line that it prints is LINE`,
    '',
    `    pe-failover install --active --passive-master ${spare}`,
    '',
    `4. On ${spare}: stop Puppet's server, and install`,
    '',
    '    pe-failover install --passive --auth-key "LINE"',
    ...(fingerprint === undefined ? [] : [`    pe-failover adopt ${fingerprint}`]),
    '    pe-failover status --wait ca-ready',
    '',
    `5. On ${own}: see that everything is there`,
    '',
    '    pe-failover check',
    '    pe-failover status',
  ];
}
