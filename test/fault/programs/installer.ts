// `pe-failover install` or `uninstall`, which dies right after the first change that it makes.
import { install, type InstallOptions } from '../../../src/commands/install.ts';
import { uninstall, type UninstallOptions } from '../../../src/commands/uninstall.ts';
import { die } from '../../helpers/deaths.ts';

type Order = { readonly install: InstallOptions } | { readonly uninstall: UninstallOptions };

const order = JSON.parse(process.argv[2] ?? '{}') as Order;
const dead = (): never => die();
process.exitCode =
  'install' in order
    ? await install('/', order.install, dead)
    : await uninstall('/', order.uninstall, new AbortController().signal, dead);
