"""The ServerApp: it starts `fedbench coordinate`, which has the loop of rounds, and brings its frames to the nodes and back."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from . import records
from .line import Line, LineError

app = ServerApp()


def note(text: str) -> None:
    print(f"[fedbench] {text}", flush=True)


class Nodes:
    """The nodes, and which of them has which client. A node that was started again may have a new id, so they are asked anew."""

    def __init__(self, grid: Grid, patience: float) -> None:
        self._grid, self._patience = grid, patience
        self._introductions: dict[int, bytes] = {}

    def there(self, asked: dict[str, Any]) -> dict[int, int]:
        """Of each client, the node that has it now; `asked` names the run and the attempt."""
        nodes = set(self._grid.get_node_ids())
        self._introductions = {node: said for node, said in self._introductions.items() if node in nodes}
        new = nodes - self._introductions.keys()
        whose = {"run": asked["run"], "attempt": asked["attempt"]}
        for node, said, frames in self.ask({node: ("query.who", whose, []) for node in new}, "who", self._patience):
            if said["say"] == "who":
                self._introductions[node] = frames[0]
            else:
                note(f"node {node} is of no use: {said['why']}")
        clients: dict[int, int] = {}
        for node, introduction in self._introductions.items():
            clients.update(dict.fromkeys(json.loads(introduction)["host"]["clients"], node))
        return clients

    def wait_for(self, asked: dict[str, Any], grace: float) -> dict[int, int]:
        """The same once all are there, or the time is over."""
        end = time.monotonic() + grace
        while len(where := self.there(asked)) < asked["clients"] and time.monotonic() < end:
            time.sleep(0.2)
        return where

    def introductions(self) -> list[bytes]:
        return list(self._introductions.values())

    def ask(
        self, asks: dict[int, tuple[str, dict[str, Any], list[bytes]]], group: str, patience: float
    ) -> Iterator[tuple[int, dict[str, Any], list[bytes]]]:
        """Asks nodes, and gives what each answers as it comes; a node that does not is lost."""
        waiting: dict[str, int] = {}
        for node, (kind, said, frames) in asks.items():
            message = Message(records.pack(said, frames), node, kind, ttl=patience, group_id=group)
            for id_ in self._grid.push_messages([message]):
                if id_ is not None:
                    waiting[id_] = node
        yield from ((node, _lost("its message could not be sent"), []) for node in asks.keys() - set(waiting.values()))
        for message in self._pull(waiting, patience):
            node = waiting.pop(message.metadata.reply_to_message_id)
            if message.has_error():
                yield node, _lost(f"{message.error.code} {message.error.reason}"), []
            else:
                yield node, *records.unpack(message.content)
        yield from ((node, _lost(f"no answer for {patience:.0f} s"), []) for node in waiting.values())

    def _pull(self, waiting: dict[str, int], patience: float) -> Iterator[Message]:
        end = time.monotonic() + patience
        while waiting and time.monotonic() < end:
            messages = list(self._grid.pull_messages(list(waiting)))
            yield from messages
            if not messages:
                time.sleep(0.05)


def _lost(why: str) -> dict[str, Any]:
    return {"say": "lost", "why": why}


def _by_node(clients: Iterable[int], orders: list[bytes], where: dict[int, int]) -> dict[int, list[tuple[int, bytes]]]:
    by_node: dict[int, list[tuple[int, bytes]]] = {}
    for client, order in zip(clients, orders, strict=True):
        if client in where:
            by_node.setdefault(where[client], []).append((client, order))
    return by_node


def _say_lost(line: Line, round_: int, client: int, why: str) -> None:
    note(f"round {round_}: client {client} is lost: {why}")
    line.say({"client": client, "lost": why})


def _bring(line: Line, nodes: Nodes, asked: dict[str, Any], patience: float) -> None:
    """Brings a round's orders to the nodes, and the replies back."""
    clients: list[int] = asked["clients"]
    orders, where, round_ = [line.frame() for _ in clients], nodes.there(asked), asked["round"]
    for client in set(clients) - where.keys():
        _say_lost(line, round_, client, "no node has it")
    by_node, kind = _by_node(clients, orders, where), "query.orders" if asked["again"] else "train.orders"
    said = {"run": asked["run"], "attempt": asked["attempt"]}
    asks = {node: (kind, said, [order for _, order in some]) for node, some in by_node.items()}
    for node, said, replies in nodes.ask(asks, str(round_), patience):
        of_node = [client for client, _ in by_node[node]]
        match said["say"]:
            case "replies" if len(replies) == len(of_node):
                for client, reply in zip(of_node, replies, strict=True):
                    line.say({"client": client})
                    line.send(reply)
            case "failed":
                for client in of_node:
                    line.say({"client": client, "failed": said["why"]})
            case _:
                for client in of_node:
                    _say_lost(line, round_, client, str(said.get("why", f"its worker said {said['say']}")))


def _serve(line: Line, nodes: Nodes, grace: float, patience: float) -> None:
    """Does what `fedbench coordinate` asks, until it hangs up."""
    while (frame := line.receive()) is not None:
        asked, start = json.loads(frame), time.monotonic()
        if asked["bring"] == "who":
            nodes.wait_for(asked, grace)
            introductions = nodes.introductions()
            line.say({"workers": len(introductions)})
            for introduction in introductions:
                line.send(introduction)
            note(f"{len(introductions)} nodes")
        else:
            _bring(line, nodes, asked, patience)
            note(f"round {asked['round']}: {len(asked['clients'])} orders in {time.monotonic() - start:.2f} s")


def _call(path: Path, server: "subprocess.Popen[bytes]") -> Line | None:
    """Calls the coordinator once it listens; nothing if it ends before, since the run is complete or it says what is wrong."""
    while server.poll() is None:
        try:
            return Line(str(path), None)
        except (FileNotFoundError, ConnectionRefusedError, LineError):
            time.sleep(0.05)
    return None


@app.main()
def main(grid: Grid, context: Context) -> None:
    """One run."""
    config = context.run_config
    grace, patience = float(config["grace"]), float(config["patience"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay"
        command = [str(config["fedbench"]), "coordinate", str(config["experiment"]), "--relay", f"unix:{path}"]
        with subprocess.Popen([*command, "--out", str(config["out"])]) as server:
            try:
                if line := _call(path, server):
                    with line:
                        _serve(line, Nodes(grid, patience), grace, patience)
            except BaseException:
                server.kill()
                raise
    if server.returncode != 0:
        raise RuntimeError(f"fedbench coordinate ended with {server.returncode}; what it said is above")
    note("done")
