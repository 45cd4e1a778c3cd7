"""Alternates fedbench's training step and PyTorch's, and prints the ratio: python bench/compare.py [--shapes S,M] [--rounds 5]

Build first: cargo build --release --workspace
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def run(command):
    """One process's report."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default="S,M")
    parser.add_argument("--kinds", default="nano,lora")
    parser.add_argument("--dtypes", default="f32", help="of the frozen weights: f32,bf16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="where the raw times go")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    parser.add_argument("--binary", default=target / "release" / "step")
    options = parser.parse_args()
    reports = []
    print("| shape | weights | adapters | fedbench ms | PyTorch ms | ratio (median over rounds, min..max) | fedbench MB | PyTorch MB |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    split = lambda names: names.split(",")
    for shape, dtype, kind in itertools.product(split(options.shapes), split(options.dtypes), split(options.kinds)):
        arguments = ["--shape", shape, "--kind", kind, "--dtype", dtype]
        arguments += ["--steps", str(options.steps), "--threads", str(options.threads)]
        pairs = []
        for _ in range(options.rounds):
            pairs.append((run([options.binary, *arguments]), run([sys.executable, HERE / "torch_step.py", *arguments])))
        reports += [report for pair in pairs for report in pair]
        ratios = [ours["median_ms"] / theirs["median_ms"] for ours, theirs in pairs]
        median = lambda side, key: statistics.median(pair[side][key] for pair in pairs)
        print(
            f"| {shape} | {dtype} | {kind} | {median(0, 'median_ms'):.0f} | {median(1, 'median_ms'):.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) "
            f"| {median(0, 'peak_memory_mb'):.0f} | {median(1, 'peak_memory_mb'):.0f} |",
            flush=True,
        )
    print(f"\n{reports[1]['stack']}; {options.threads} threads, {options.rounds} rounds of {options.steps} steps in alternation")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(reports, indent=1) + "\n")


if __name__ == "__main__":
    main()
