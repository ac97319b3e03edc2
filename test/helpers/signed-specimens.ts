/** Values as a root signs them: small, and with every field that is optional somewhere. */
export const aGate = {
  ...{ format: 1, role: 'passive', certname: 'b.test', epoch: { number: 3, id: '0123456789abcdef' } },
  ...{ peer: 'a.test', since: '2026-11-21T04:00:00.000Z', fact: '0'.repeat(64) },
};

export const aMadeHere = {
  ...{ format: 1, source: 'b.test', target: 'a.test', at: '2026-11-21T04:00:00.000Z', more: 0, program: '0.1.0' },
  certificates: [{ certname: 'n1.test', pem: '-----BEGIN CERTIFICATE-----' }],
  inventory: ['0x186A5 2026-11-20T00:00:00UTC 2031-11-20T00:00:00UTC /CN=n1.test'],
  revocations: [{ issuer: '300d310b', serial: '186a5', date: '261121000000Z' }],
};

const rights = [
  { grantee: null, privilege: 'USAGE', grantable: false },
  { grantee: 'pe-rbac', privilege: 'CREATE', grantable: true },
];

export const anOwnership = {
  owners: [{ role: 'pe-rbac', things: 3, first: 'table public.roles' }],
  schemas: [{ name: 'public', owner: 'pe-rbac', comment: null, rights }],
  extensionRights: [{ type: 'function', identity: 'public.citext_eq(public.citext, public.citext)', rights }],
  extensionRows: ['public.spatial_ref_sys'],
  defaultRights: [{ role: 'pe-rbac', schema: null, kind: 'r', rights }],
  givenOn: [{ thing: 'table public.roles', by: 'pe-rbac' }],
};
