// Watches a directory in both ways for half a second and prints what it was told: run where the kernel allows no watch.
import { setTimeout as sleep } from 'node:timers/promises';
import { watchDirectory, watchTree, type WatchListener } from '../../src/system/watch.ts';

const [, , path = '/nonexistent'] = process.argv;
const told = (way: string): WatchListener => ({
  changed: (names) => console.log(way, 'changed', names.size),
  lost: (why) => console.log(way, 'lost', why),
  failed: (failure) => console.log(way, 'failed', failure.class, failure.message),
});
const watching = [
  watchDirectory(path, told('directory'), { pollMs: 50 }),
  watchTree([path], told('tree'), { pollMs: 50 }),
];
await sleep(500);
for (const each of watching) await each.close();
