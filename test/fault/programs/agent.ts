// The agent, which dies at one point of a change of roles.
import { runAgent } from '../../../src/commands/agent.ts';
import { dieAt } from '../../helpers/deaths.ts';

const [root = '', point = ''] = process.argv.slice(2);
const over = new AbortController();
process.on('SIGTERM', () => over.abort());
process.exitCode = await runAgent(root, over.signal, dieAt({ kind: 'point', point }));
