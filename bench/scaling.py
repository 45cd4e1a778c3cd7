"""What a study costs as it grows: tokens of a sequence, clients, examples.   python bench/scaling.py

Build first: cargo build --release --workspace
"""

import argparse
import json
import os
import pathlib
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
    options = parser.parse_args()

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
