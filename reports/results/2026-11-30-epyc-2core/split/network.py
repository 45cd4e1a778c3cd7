"""Step times of a split run over a network of 100 Mbit/s and 20 ms, by the encoding of activations, beside one process and loopback:
network.py PROGRAM BACKBONE EXPERIMENT [fedbench's options].

One thread on either side, so that one client trains at a time and a step's time is a step's. Rounds of all ways take turns; the median of
the rounds but each run's first is what is said. Needs relay.py beside it."""
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

program, backbone, experiment, *options = sys.argv[1:]
DECODER, RELAY, TURNS = 7300, 7301, 3
WAYS = list(itertools.product(("server", "client"), ("f32", "bf16", "int8", "int4")))


def run(name, loss_at, activations, port):
    out = Path("network") / name
    keys = {"backbone.name": backbone, "federation.loss_at": loss_at, "federation.activations": activations}
    command = [program, "run", experiment, "--quiet", "--threads", "1", "--out", out, *options]
    command += [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    command += ["--decoder", f"tcp://127.0.0.1:{port}"] if port else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (folder,) = out.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    steps = summary["optimizer_steps"]
    rounds = [r["train_seconds"] for r in json.loads((folder / "timings.json").read_text())["rounds"]]
    return [len(rounds) * seconds / steps for seconds in rounds[1:]], summary, steps


decoder = subprocess.Popen([program, "decoder", "--backbone", backbone, "--listen", f"tcp://127.0.0.1:{DECODER}", "--threads", "1"])
relay = subprocess.Popen([sys.executable, Path(__file__).parent / "relay.py", str(RELAY), str(DECODER)])
time.sleep(3)
try:
    times, known = {}, {}
    for turn, (loss_at, activations) in itertools.product(range(TURNS), WAYS):
        for where, port in (("one process", None), ("loopback", DECODER), ("network", RELAY)):
            key = (loss_at, activations, where)
            found, summary, steps = run(f"{turn}-{loss_at}-{activations}-{where.replace(' ', '-')}", loss_at, activations, port)
            times.setdefault(key, []).extend(found)
            known[key] = summary
            print(*key, [round(1000 * t, 1) for t in found], file=sys.stderr)
    rows = []
    for loss_at, activations in WAYS:
        ms = {where: [1000 * t for t in times[loss_at, activations, where]] for where in ("one process", "loopback", "network")}
        one, loopback, network = (statistics.median(found) for found in ms.values())
        sums = known[loss_at, activations, "network"]
        up, down = (sums[f"activation_{way}_socket_bytes"] / sums["optimizer_steps"] for way in ("uplink", "downlink"))
        rows.append({"loss_at": loss_at, "activations": activations, "ms": ms, "socket_bytes_a_step": [up, down]})
        print(f"| {loss_at} | {activations} | {one:.1f} | {loopback:.1f} | {loopback / one:.2f} | {network:.1f} |")
    Path(f"network-{Path(backbone).name}.json").write_text(json.dumps(rows, indent=1) + "\n")
finally:
    decoder.kill()
    relay.kill()
