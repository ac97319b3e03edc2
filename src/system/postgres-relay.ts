// A program of its own: stdin and stdout become a connection to PostgreSQL that the database's OS user opened, since
// peer authentication asks the kernel who connected. Arguments: UID GID ("-" keeps ours), SOCKET-PATH or HOST PORT.
import { connect } from 'node:net';

const [uid, gid, place, port] = process.argv.slice(2);
if (uid === undefined || gid === undefined || place === undefined) throw new Error('usage: UID GID SOCKET | HOST PORT');

// Groups before user: after setuid nothing of this is allowed any more.
if (uid !== '-') {
  process.setgroups?.([]);
  process.setgid?.(Number(gid));
  process.setuid?.(Number(uid));
}

const socket = port === undefined ? connect(place) : connect(Number(port), place);
socket.on('error', (error: NodeJS.ErrnoException) => {
  process.stderr.write(`${error.code ?? 'ERROR'} ${error.message}\n`);
  process.exitCode = 1;
  process.stdin.destroy();
});
process.stdout.on('error', () => socket.destroy());
process.stdin.pipe(socket).pipe(process.stdout);
