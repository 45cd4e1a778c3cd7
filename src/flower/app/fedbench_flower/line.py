"""A line to a fedbench process on this machine, as fedbench's crates `line` and `remote` speak it.

A frame is eight bytes of length, little-endian, and that many bytes: an ask or an answer as JSON, or an order or reply, which is
nobody's business here.
"""

import json
import socket
import struct
from pathlib import Path
from typing import Any, Self

PROTOCOL = 1

# Longer frames are refused, as fedbench does.
MOST = 1 << 34


class LineError(Exception):
    """The other side is gone, or does not speak as it should."""


class Line:
    """One end of it."""

    def __init__(self, path: str, patience: float | None, token: str = "") -> None:
        """Calls whoever listens at a Unix socket; `patience` is how many seconds a byte may take."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        self._socket.connect(path)
        self.send(f"fedbench line 1\n{token}".encode())
        answer = self.receive()
        if answer != b"accepted":
            raise LineError(f"{path}: {(answer or b'it hung up').decode(errors='replace')}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        self._socket.sendall(struct.pack("<Q", len(frame)))
        self._socket.sendall(frame)

    def receive(self) -> bytes | None:
        """The next frame; nothing if the other side has hung up."""
        head = self._exactly(8, may_end=True)
        if not head:
            return None
        (length,) = struct.unpack("<Q", head)
        if length > MOST:
            raise LineError(f"a frame of {length} bytes is announced; at most {MOST} are taken")
        return self._exactly(length)

    def _exactly(self, length: int, may_end: bool = False) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._socket.recv(min(length - len(data), 1 << 20))
            if not more:
                if may_end and not data:
                    return b""
                raise LineError("the other side hung up in the middle")
            data += more
        return bytes(data)

    def frame(self) -> bytes:
        """The next frame, where one must come."""
        frame = self.receive()
        if frame is None:
            raise LineError("the other side hung up before it answered")
        return frame

    def say(self, what: dict[str, Any]) -> None:
        self.send(json.dumps(what, separators=(",", ":")).encode())

    def hear(self) -> dict[str, Any]:
        """What is said, but that the other side is busy."""
        while True:
            said: dict[str, Any] = json.loads(self.frame())
            if said.get("say") != "busy":
                return said


def token_of(path: str) -> str:
    """The token that a file holds; none without a file."""
    return Path(path).read_text().strip() if path else ""
