// `pe-failover install` or `uninstall`, which dies right after the first change that it makes.
import { install, type InstallOptions } from '../../../src/commands/install.ts';
import { die } from '../../helpers/deaths.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as InstallOptions;
process.exitCode = await install('/', options, () => die());
