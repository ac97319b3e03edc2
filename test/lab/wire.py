"""A cable that takes its time: frames of two interfaces of this namespace, handed over MS milliseconds later.

usage: python3 wire.py INTERFACE INTERFACE MS; ends with its standard input."""
import collections, select, socket, sys, time

names, delay = sys.argv[1:3], float(sys.argv[3]) / 1000
ends = []
for name in names:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    end.bind((name, 0))
    end.setblocking(False)
    ends.append(end)
late = collections.deque()
print("ready", flush=True)
while True:
    wait = max(0, late[0][0] - time.monotonic()) if late else None
    for ready in select.select([*ends, sys.stdin], [], [], wait)[0]:
        if ready is sys.stdin:
            sys.exit(0)
        frame, origin = ready.recvfrom(65535)
        if origin[2] != socket.PACKET_OUTGOING:
            late.append((time.monotonic() + delay, ends[1 - ends.index(ready)], frame))
    while late and late[0][0] <= time.monotonic():
        _, end, frame = late.popleft()
        try:
            end.send(frame)
        except OSError:
            pass  # a cable that is out
