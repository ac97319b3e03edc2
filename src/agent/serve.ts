import { Failure } from '../errors.ts';
import type { Paths } from '../rules/paths.ts';
import { serveControl, type ControlServer } from '../system/control.ts';
import type { Agent, AgentView } from './agent.ts';
import type { Hooks } from './hooks.ts';
import { demandEvent } from './hook-files.ts';

/** Answers the commands of this machine's root over the control socket. */
export function serveAgent(
  { paths }: { readonly paths: Paths },
  agent: Agent,
  hooks: Pick<Hooks, 'try'>,
  view: () => AgentView,
): Promise<ControlServer> {
  return serveControl(paths.control, async ({ verb, args }, line, signal) => {
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
      case 'try-hooks':
        return await hooks.try(demandEvent(String(args['event'])), line, signal);
      default:
        throw new Failure('usage', 'the agent does not know this request', { where: verb });
    }
  });
}
