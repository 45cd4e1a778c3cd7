"""What a study costs as it grows: tokens of a sequence, clients, examples.   python bench/scaling.py

`--lengths FILE`: instead, tokens of a sequence alone, S and M, f32 and bf16, LoRA, one thread, in turn over `--rounds`; processor time
of a step (a run of some, less a run of one), the least of each, since other work only ever adds to it. Raw times go to FILE.

Build first: cargo build --release --workspace
"""

import argparse
import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EXPERIMENT = """
[backbone]
name = "nano"
[data]
dataset = {data}
train_limit = {examples}
test_limit = 20
[partition]
clients = {clients}
scheme = "iid"
min_examples = 1
[method]
name = "fednano"
[federation]
rounds = 1
local_epochs = 1
batch_size = 10
[evaluation]
every = 0
"""


def run(command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
    return result.stdout


def step(binaries, kind, tokens, total, steps):
    """Milliseconds of a training step over `total` tokens in sequences of `tokens`."""
    command = [binaries / "step", "--shape", "S", "--kind", kind, "--tokens", tokens, "--batch", total // tokens, "--steps", steps]
    report = json.loads(run([*command, "--threads", 2]).splitlines()[-1])
    return report["median_ms"], report["peak_memory_mb"]


def lengths(binaries, rounds, file):
    """A token's time at each length beside that at 128."""
    found, totals = {}, {"S": 4096, "M": 2048}
    for _ in range(rounds):
        for shape, dtype, tokens in itertools.product(totals, ["f32", "bf16"], [128, 512, 2048]):
            more = 3 if shape == "S" else 1
            command = [binaries / "step", "--shape", shape, "--kind", "lora", "--dtype", dtype, "--tokens", tokens]
            command += ["--batch", totals[shape] // tokens, "--threads", 1, "--warm-up", 0, "--steps"]
            one, some = [processor_seconds([*command, steps]) for steps in [1, 1 + more]]
            found.setdefault(f"{shape} {dtype} {tokens}", []).append((some - one) / more)
        file.write_text(json.dumps(found, indent=1) + "\n")
    print("| shape, weights | tokens of a sequence | us/token | tokens/s | beside 128 |\n|---|---:|---:|---:|---:|")
    for name, taken in found.items():
        shape, dtype, tokens = name.split()
        token, first = min(taken) / totals[shape], min(found[f"{shape} {dtype} 128"]) / totals[shape]
        print(f"| {shape}, {dtype} | {tokens} | {token * 1e6:.0f} | {1 / token:.0f} | {token / first:.2f} |")


def processor_seconds(command):
    """Of all threads, user and system."""
    spent = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    before = spent()
    run(command)
    return spent() - before


def study(binaries, data, folder, clients, examples):
    """Seconds and megabytes of a round of FedNano on the embedded backbone."""
    text = EXPERIMENT.format(data=json.dumps(str(data)), clients=clients, examples=examples)
    (folder / "experiment.toml").write_text(text)
    out = folder / f"{clients}-{examples}"
    run([binaries / "fedbench", "run", folder / "experiment.toml", "--out", out, "--threads", 2, "--quiet"])
    summary = json.loads(next(out.glob("*/summary.json")).read_text())
    assert (summary["clients"], summary["train_examples"]) == (clients, examples), summary
    return summary["wall_seconds"], summary["peak_memory_bytes"] / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    parser.add_argument("--binaries", type=pathlib.Path, default=target / "release")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--lengths", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.lengths:
        return lengths(options.binaries, options.rounds, options.lengths)

    print("| tokens of a sequence | sequences | FedNano ms | us/token | LoRA ms | us/token | peak MB |\n|---:|---:|---:|---:|---:|---:|---:|")
    total = 4096
    for tokens in [64, 128, 256, 512, 1024, 2048]:
        (nano, memory), (lora, _) = (step(options.binaries, kind, tokens, total, options.steps) for kind in ["nano", "lora"])
        per = lambda milliseconds: f"{milliseconds:.0f} | {milliseconds / total * 1e3:.0f}"
        print(f"| {tokens} | {total // tokens} | {per(nano)} | {per(lora)} | {memory:.0f} |", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "icongen"
        run([options.binaries / "fedbench", "data", "prepare", "icongen", "--out", data, "--rows", 20000, 100])
        print("\n| clients | examples | seconds | ms/example | peak MB |\n|---:|---:|---:|---:|---:|")
        for clients, examples in [(10, 200), (100, 2000), (1000, 20000), (5, 250), (5, 1000), (5, 4000)]:
            seconds, memory = study(options.binaries, data, folder, clients, examples)
            print(f"| {clients} | {examples} | {seconds:.1f} | {seconds / examples * 1e3:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
