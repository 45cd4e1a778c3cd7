"""A slow network between two processes: relay.py LISTEN-PORT TARGET-PORT [MBIT] [ROUND-TRIP-MS].

All lines share the rate, each direction its own; every byte is half a round trip on its way."""
import collections
import socket
import sys
import threading
import time

listen, target = int(sys.argv[1]), int(sys.argv[2])
rate = float(sys.argv[3] if len(sys.argv) > 3 else 100) * 1e6 / 8
delay = float(sys.argv[4] if len(sys.argv) > 4 else 20) / 2000


class Direction:
    """One direction of the network: when it is free again."""

    def __init__(self):
        self.free, self.lock = 0.0, threading.Lock()

    def takes(self, count):
        with self.lock:
            self.free = max(self.free, time.monotonic()) + count / rate
            return self.free + delay


def carry(source, sink, direction):
    queue, there = collections.deque(), threading.Condition()

    def deliver():
        while True:
            with there:
                there.wait_for(lambda: queue)
                arrives, piece = queue.popleft()
            time.sleep(max(0.0, arrives - time.monotonic()))
            if not piece:
                return sink.shutdown(socket.SHUT_WR)
            sink.sendall(piece)

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        piece = source.recv(1 << 14)
        with there:
            queue.append((direction.takes(len(piece)), piece))
            there.notify()
        if not piece:
            return


up, down = Direction(), Direction()
server = socket.create_server(("127.0.0.1", listen))
while True:
    caller, _ = server.accept()
    decoder = socket.create_connection(("127.0.0.1", target))
    for end in (caller, decoder):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=carry, args=(caller, decoder, up), daemon=True).start()
    threading.Thread(target=carry, args=(decoder, caller, down), daemon=True).start()
