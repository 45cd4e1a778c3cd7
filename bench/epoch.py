"""Alternates a round of FedNano, evaluation included, by fedbench and by the Python stack, and prints a table.

    cargo build --release
    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 pyarrow==26.0.1 pillow==13.0.0
    python bench/epoch.py FOLDER/scienceqa-img-resplit [--rounds 3] [--train-rows 64 --test-rows 16]
    python bench/epoch.py FOLDER/scienceqa-img-resplit --check

Both sides get the same model folder (`epoch_model.py`: SmolLM2-135M's shape behind a small CLIP tower, random weights), the same
rows, clients, steps and threads; `torch_epoch.py` says what the Python side is. Exits 1 if the two did not do the same work.

`--check` does what can be compared number by number: three clients take one step each on four examples from the same adapters.
Merged adapters, training losses and the log-likelihoods of all options are then compared.
"""

import argparse
import json
import os
import pathlib
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import pyarrow.parquet
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).resolve().parent
WIDTH, RANK = 576, 64
SPLITS = ["train", "test"]
EXPERIMENT = """\
seed = 1

[backbone]
name = "{model}"
dtype = "{dtype}"

[data]
dataset = "{dataset}"
max_prompt_tokens = 512

[partition]
clients = {clients}

[federation]
rounds = 1
local_epochs = 1
batch_size = {batch_size}

[optimizer]
learning_rate = {learning_rate}

[adapter]
kind = "nano"
rank = {rank}

[method]
name = "fednano"

[evaluation]
batch_size = 16
"""
BOUNDS = {"adapters": 1e-4, "losses": 1e-5, "scores": 1e-4}  # of --check; the adapters' is relative, in l2


def run(command):
    """A process's output, and the seconds from its start to its end, by the clock and of the processors."""
    command = [str(part) for part in command]
    start, spent = time.perf_counter(), processor_seconds()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = {"process_seconds": time.perf_counter() - start, "processor_seconds": processor_seconds() - spent}
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return result.stdout, seconds


def processor_seconds():
    """Of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def some_rows(dataset, folder, limits):
    """The dataset, or a copy that has only so many rows of each split, drawn with a fixed seed."""
    if limits == [None, None]:
        return dataset
    card = (HERE.parent / "data-scripts/cards/scienceqa-img-resplit.toml").read_text()
    folder.mkdir()
    (folder / "card.toml").write_text(re.sub(r"(?m)^(rows|sha256) = .*\n", "", card))
    for split, limit in zip(SPLITS, limits):
        path = next(dataset.glob(f"{split}-*.parquet"))
        table = pyarrow.parquet.read_table(path)
        kept = sorted(random.Random(0).sample(range(len(table)), min(limit or len(table), len(table))))
        pyarrow.parquet.write_table(table.take(kept), folder / path.name)
    return folder


class Sides:
    """One task, for whoever is to do it."""

    def __init__(self, options, work, dataset):
        self.options, self.work, self.dataset, self.model, self.runs = options, work, dataset, options.model, 0

    def fedbench(self, **changed):
        """A run; its folder is `self.run_folder`."""
        self.runs += 1
        out, experiment = self.work / f"runs-{self.runs}", self.work / "epoch.toml"
        keys = dict(batch_size=self.options.batch_size, clients=self.options.clients, learning_rate=self.options.learning_rate)
        experiment.write_text(EXPERIMENT.format(model=self.model, dtype=self.options.dtype, dataset=self.dataset, rank=RANK, **keys | changed))
        _, took = run([self.options.binary, "run", experiment, "--threads", self.options.threads, "--out", out, "--quiet"])
        self.run_folder = next(out.iterdir())
        read = lambda name: json.loads((self.run_folder / name).read_text())
        summary, timings = read("summary.json"), read("timings.json")
        [of_round] = timings["rounds"]
        records = pyarrow.parquet.read_table(self.run_folder / "records.parquet").to_pylist()
        scores = pyarrow.parquet.read_table(self.run_folder / "predictions.parquet")["option_scores"].to_pylist()
        # Each token's gradient came back once, in training or in the Fisher pass.
        tokens = summary["activation_downlink_bytes"] // (4 * WIDTH)
        return {
            "side": "fedbench", "stack": f"fedbench {read('environment.json')['version']}", **took,
            "seconds": {
                "features": timings["features_seconds"], "training": of_round["train_seconds"],
                "merging": of_round["aggregate_seconds"], "evaluation": of_round["evaluate_seconds"],
            },
            "peak_memory_mb": summary["peak_memory_bytes"] // 1_000_000, "steps": summary["optimizer_steps"],
            "examples": summary["train_examples"], "tokens": tokens, "test_rows": len(scores), "options": sum(map(len, scores)),
            "losses": [record["value"] for record in records if record["metric"] == "train_loss"], "scores": scores,
        }  # fmt: skip

    def python(self, careful, *further, **changed):
        """The same on the Python side, with the partition of the run before."""
        keys = dict(batch_size=self.options.batch_size, learning_rate=self.options.learning_rate) | changed
        arguments = ["--model", self.model, "--dataset", self.dataset, "--partition", self.run_folder / "partition.json"]
        arguments += ["--threads", self.options.threads, "--dtype", self.options.dtype, "--batch-size", keys["batch_size"], *further]
        arguments += ["--learning-rate", keys["learning_rate"], *["--careful"] * careful]
        said, took = run([sys.executable, HERE / "torch_epoch.py", *arguments])
        return json.loads(said.splitlines()[-1]) | took


def inside(report):
    """Seconds without starting up: interpreter, libraries, weights and, of fedbench, what lies between these and the pictures."""
    return sum(seconds for what, seconds in report["seconds"].items() if what not in ["imports", "weights"])


def same_work(reports):
    """Whether all counts agree."""
    counts = [{what: report[what] for what in ["steps", "examples", "tokens", "test_rows", "options"]} for report in reports]
    if any(count != counts[0] for count in counts):
        sys.exit(f"not the same work: {counts}")
    return counts[0]


def table(rounds):
    """A column for each side; medians over rounds."""
    sides = list(zip(*rounds))
    median = lambda side, of: statistics.median(of(report) for report in side)
    seconds = lambda *parts: lambda report: sum(report["seconds"].get(part, 0.0) for part in parts)

    def ratio(side, of):
        ratios = [of(ours) / of(theirs) for ours, theirs in zip(sides[0], side)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"

    process = lambda report: report["process_seconds"]
    numbers = {
        "whole process, s": process,
        "starting, weights, s": lambda report: process(report) - inside(report),
        "work inside, s": inside,
        "of it reading, features, s": seconds("reading", "features"),
        "training and Fisher, s": seconds("training", "fisher"),
        "the Fisher pass alone, s": lambda report: report["seconds"].get("fisher"),
        "merging, s": seconds("merging"),
        "evaluation, s": seconds("evaluation"),
        "processor time of the process, s": lambda report: report["processor_seconds"],
        "peak memory, MB": lambda report: report["peak_memory_mb"],
        "mean training loss": lambda report: statistics.mean(report["losses"]),
    }
    lines = ["| | " + " | ".join(heading(side[0]) for side in sides) + " |", "|---|" + "---:|" * len(sides)]
    for name, of in numbers.items():
        digits = 0 if "MB" in name else 3 if "loss" in name else 1
        cells = ["" if of(side[0]) is None else f"{median(side, of):.{digits}f}" for side in sides]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    spent = lambda report: report["processor_seconds"]
    for name, of in {"whole process": process, "work inside": inside, "processor time": spent}.items():
        lines.append(f"| fedbench / Python, {name} | | " + " | ".join(ratio(side, of) for side in sides[1:]) + " |")
    return "\n".join(lines)


def heading(report):
    return report["side"] if report["side"] == "fedbench" else f"Python, {report['side']}"


def one_round(sides, variants):
    """A report of each side; a line on each as it comes."""
    reports = []
    for side in ["fedbench", *variants]:
        reports.append(sides.fedbench() if side == "fedbench" else sides.python(side == "careful"))
        print(f"{heading(reports[-1])}: {reports[-1]['process_seconds']:.1f} s", file=sys.stderr, flush=True)
    same_work(reports)
    return reports


def measure(sides, options):
    rounds = []
    for _ in range(options.rounds):
        rounds.append(one_round(sides, options.variants))
        if options.json:
            without_scores = [[{**report, "scores": None} for report in reports] for reports in rounds]
            pathlib.Path(options.json).write_text(json.dumps(without_scores, indent=1) + "\n")
    work = same_work([report for reports in rounds for report in reports])
    padded = [f"{report['padded_tokens']} ({report['side']})" for report in rounds[0][1:]]
    print(table(rounds))
    print(
        f"\n{', '.join(report['stack'] for report in rounds[0][:2])}; {options.dtype}; threads: {options.threads}, rounds in alternation: "
        f"{options.rounds}. The same work on all sides: {options.clients} clients, {work['steps']} steps on {work['examples']} "
        f"examples, as many squared gradients, {work['tokens']} tokens in both, with Python's padding {', '.join(padded)}; "
        f"{work['options']} options of {work['test_rows']} test rows."
    )


def distances(ours, theirs, adapters):
    """Between two sides' reports and files of merged adapters."""
    square = lambda tensors: sum(float((tensor.astype("f8") ** 2).sum()) for tensor in tensors)
    mine, other = [load_file(path) for path in adapters]
    assert mine.keys() == other.keys()
    return {
        "adapters": (square(mine[name] - other[name] for name in mine) / square(mine.values())) ** 0.5,
        "losses": largest(ours["losses"], theirs["losses"]),
        "scores": max(map(largest, ours["scores"], theirs["scores"])),
    }


def largest(ours, theirs):
    """The largest difference."""
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def check(sides, variants):
    """Three clients, one step of four examples each: nothing is left to the order of batches."""
    task = dict(clients=3, batch_size=4)
    start = sides.fedbench(**task, learning_rate=0.0)
    first = sides.run_folder / "adapters.safetensors"
    ours = sides.fedbench(**task)
    moved = max(map(largest, start["scores"], ours["scores"]))
    print(f"Mean training loss {statistics.mean(ours['losses']):.3f}; training moved option scores by up to {moved:.2f}.")
    good = True
    for variant in variants:
        saved = sides.work / f"{variant}.safetensors"
        theirs = sides.python(variant == "careful", "--start", first, "--save", saved, batch_size=4)
        same_work([ours, theirs])
        found = distances(ours, theirs, [sides.run_folder / "adapters.safetensors", saved])
        good &= all(found[what] <= bound for what, bound in BOUNDS.items())
        differences = [f"{what} differ by {value:.1e} (at most {BOUNDS[what]:g})" for what, value in found.items()]
        print(f"{heading(theirs)}: {', '.join(differences)}")
    sys.exit(0 if good else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=pathlib.Path, help="the folder of scienceqa-img-resplit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="of the frozen model, on both sides")
    parser.add_argument("--train-rows", type=int, help="at most so many; all without it")
    parser.add_argument("--test-rows", type=int, help="at most so many; all without it")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    variants = ["plain", "careful"]
    parser.add_argument("--variants", nargs="*", choices=variants, default=variants, help="what of the Python side runs")
    parser.add_argument("--check", action="store_true", help="compare numbers instead of times, on few rows")
    parser.add_argument("--json", help="where the raw numbers go")
    parser.add_argument("--model", type=pathlib.Path, help="where the model lies or is put (630 MB); a temporary folder without")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    parser.add_argument("--binary", default=target / "release" / "fedbench")
    options = parser.parse_args()
    if options.check:
        assert options.dtype == "f32", "with bf16 hidden states round otherwise on either side"
        options.train_rows, options.test_rows = 12, options.test_rows or 8
    with tempfile.TemporaryDirectory() as temporary:
        work, dataset = pathlib.Path(temporary), options.dataset.resolve()
        options.model = (options.model or work / "epoch-model").resolve()
        if not (options.model / "processor_config.json").is_file():  # written last
            run([sys.executable, HERE / "epoch_model.py", dataset, options.model])
        sides = Sides(options, work, some_rows(dataset, work / dataset.name, [options.train_rows, options.test_rows]))
        check(sides, options.variants) if options.check else measure(sides, options)


if __name__ == "__main__":
    main()
