import { toFailure } from '../errors.ts';
import { openHostileTree } from '../system/beneath.ts';

/**
 * What the gate noted for this agent, unread by anybody else; undefined where there is nothing, or no note of ours. It is removed:
 * each is told once. An unprivileged user's word: the caller takes what is well-formed, and nothing else.
 */
export async function takeNote(inbox: string, name: string): Promise<unknown> {
  try {
    await using tree = await openHostileTree(inbox);
    const text = await tree.readText(name, 1024);
    await tree.remove(name);
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (toFailure(error).class === 'bad-data' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
