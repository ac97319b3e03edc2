import { Failure } from '../errors.ts';
import type { Paths } from '../rules/paths.ts';
import { serveControl, type ControlServer } from '../system/control.ts';
import type { Agent, AgentView } from './agent.ts';

/** Answers the commands of this machine's root over the control socket. */
export function serveAgent(
  { paths }: { readonly paths: Paths },
  agent: Agent,
  view: () => AgentView,
): Promise<ControlServer> {
  return serveControl(paths.control, async ({ verb, args }) => {
    switch (verb) {
      case 'status':
        return view();
      case 'run':
        return await agent.trigger(String(args['job']));
      case 'pause':
        return await agent.pause(Array.isArray(args['jobs']) ? args['jobs'].map(String) : []);
      case 'reload':
        agent.reload();
        return 'judges the fact anew';
      default:
        throw new Failure('usage', 'the agent does not know this request', { where: verb });
    }
  });
}
