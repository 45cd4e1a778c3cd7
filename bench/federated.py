"""Races a federated run, evaluation after every round included, by fedbench and by a PyTorch loop, and prints processor seconds.

    cargo build --release
    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 pyarrow==26.0.1 pillow==13.0.0
    python bench/federated.py FOLDER/easy-vqa [--variants plain careful] [--json FILE]
    python bench/federated.py FOLDER/easy-vqa --check

FedAvg on LoRA of rank 8: three rounds, five clients, 20 steps of 16 each, then 13 options of all 1,500 test rows; one thread. Both
sides get one folder of a small LLaVA with random weights (`epoch_model.py --small`) and one partition. Exits 1 if they did not do the
same work. `--check`: each client takes one step from the same adapters on all of its rows, so that the order of batches plays no part;
merged adapters, training losses and the log-likelihoods of all options are compared.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

import pyarrow.parquet

from epoch import HERE, BOUNDS, distances, largest, run

EXPERIMENT = """\
seed = 1

[backbone]
name = "{model}"

[data]
dataset = "{dataset}"
max_prompt_tokens = 512
{limits}

[partition]
clients = 5
scheme = "iid"

[federation]
rounds = {rounds}
local_steps = {steps}
batch_size = {batch_size}

[optimizer]
learning_rate = {learning_rate}

[adapter]
rank = 8

[method]
name = "fedavg-lora"

[evaluation]
every = 1
"""
RACE = dict(rounds=3, steps=20, batch_size=16, learning_rate=1e-3, limits="")
CHECK = dict(rounds=1, steps=1, batch_size=16, limits="train_limit = 80\ntest_limit = 40")


class Sides:
    def __init__(self, options, work):
        self.options, self.work, self.model, self.runs = options, work, options.model, 0

    def fedbench(self, **task):
        """A run; its folder is `self.run_folder`."""
        self.runs += 1
        out, experiment = self.work / f"runs-{self.runs}", self.work / "federated.toml"
        experiment.write_text(EXPERIMENT.format(model=self.model, dataset=self.options.dataset, **task))
        _, took = run([self.options.binary, "run", experiment, "--threads", self.options.threads, "--out", out, "--quiet"])
        self.run_folder = next(out.iterdir())
        read = lambda name: json.loads((self.run_folder / name).read_text())
        summary, timings = read("summary.json"), read("timings.json")
        records = pyarrow.parquet.read_table(self.run_folder / "records.parquet").to_pylist()
        predictions = pyarrow.parquet.read_table(self.run_folder / "predictions.parquet").to_pylist()
        of = lambda metric: [record["value"] for record in records if record["metric"] == metric]
        seconds = lambda key: sum(of_round[key] for of_round in timings["rounds"])
        return {
            "side": "fedbench", "stack": f"fedbench {read('environment.json')['version']}", **took,
            "seconds": {
                "features": timings["features_seconds"], "training": seconds("train_seconds"),
                "merging": seconds("aggregate_seconds"), "evaluation": seconds("evaluate_seconds"),
            },
            "peak_memory_mb": summary["peak_memory_bytes"] // 1_000_000, "steps": summary["optimizer_steps"],
            "examples": summary["optimizer_steps"] * task["batch_size"], "test_rows": len(predictions),
            "options": sum(len(row["option_scores"]) for row in predictions), "losses": of("train_loss"),
            "ids": [row["example"] for row in predictions], "scores": [row["option_scores"] for row in predictions],
        }  # fmt: skip

    def python(self, careful, *further, **task):
        """The same on the Python side, with the partition of the run before."""
        arguments = ["--model", self.model, "--dataset", self.options.dataset, "--partition", self.run_folder / "partition.json"]
        for key in ["rounds", "steps", "batch_size", "learning_rate"]:
            arguments += [f"--{key.replace('_', '-')}", task[key]]
        arguments += ["--threads", self.options.threads, *["--careful"] * careful, *further]
        said, took = run([sys.executable, HERE / "torch_federated.py", *arguments])
        return json.loads(said.splitlines()[-1]) | took


def same_work(reports, whats=("steps", "examples", "test_rows", "options")):
    counts = [{what: report[what] for what in whats} for report in reports]
    if any(count != counts[0] for count in counts):
        sys.exit(f"not the same work: {counts}")
    return counts[0]


def heading(report):
    return report["side"] if report["side"] == "fedbench" else f"Python, {report['side']}"


def race(sides, options):
    reports = []
    for side in ["fedbench", *options.variants]:
        reports.append(sides.fedbench(**RACE) if side == "fedbench" else sides.python(side == "careful", **RACE))
        print(f"{heading(reports[-1])}: {reports[-1]['processor_seconds']:.1f} processor seconds", file=sys.stderr, flush=True)
    work, ours = same_work(reports), reports[0]
    if options.json:
        kept = [{what: value for what, value in report.items() if what not in ["scores", "ids"]} for report in reports]
        pathlib.Path(options.json).write_text(json.dumps(kept, indent=1) + "\n")
    print("| | processor s | of fedbench's | training s | evaluation s | MB | mean training loss |\n|---|---:|---:|---:|---:|---:|---:|")
    for report in reports:
        ratio, seconds = ours["processor_seconds"] / report["processor_seconds"], report["seconds"]
        print(
            f"| {heading(report)} | {report['processor_seconds']:.1f} | {ratio:.2f} | {seconds['training']:.1f} | "
            f"{seconds['evaluation']:.1f} | {report['peak_memory_mb']} | {statistics.mean(report['losses']):.3f} |"
        )
    print(f"\n{', '.join(report['stack'] for report in reports[:2])}; threads: {options.threads}. The same work: {work}.")


def check(sides, options):
    start = sides.fedbench(**CHECK, learning_rate=0.0)
    first = sides.run_folder / "adapters.safetensors"
    ours = sides.fedbench(**CHECK, learning_rate=1e-3)
    moved = max(map(largest, start["scores"], ours["scores"]))
    print(f"Mean training loss {statistics.mean(ours['losses']):.3f}; training moved option scores by up to {moved:.4f}.")
    good = True
    for variant in options.variants:
        saved = sides.work / f"{variant}.safetensors"
        theirs = sides.python(variant == "careful", "--start", first, "--save", saved, **CHECK, learning_rate=1e-3)
        same_work([ours, theirs], ["steps", "examples"])
        theirs["scores"] = [theirs["scores"][int(example.removeprefix("test-"))] for example in ours["ids"]]
        found = distances(ours, theirs, [sides.run_folder / "adapters.safetensors", saved])
        good &= all(found[what] <= bound for what, bound in BOUNDS.items())
        differences = [f"{what} differ by {value:.1e} (at most {BOUNDS[what]:g})" for what, value in found.items()]
        print(f"{heading(theirs)}: {', '.join(differences)}")
    sys.exit(0 if good else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=pathlib.Path, help="the folder of easy-vqa")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variants", nargs="*", choices=["plain", "careful"], default=["plain", "careful"])
    parser.add_argument("--check", action="store_true", help="compare numbers instead of times, on few rows")
    parser.add_argument("--json", help="where the raw numbers go")
    parser.add_argument("--model", type=pathlib.Path, help="where the model lies or is put; a temporary folder without")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    parser.add_argument("--binary", default=target / "release" / "fedbench")
    options = parser.parse_args()
    options.dataset = options.dataset.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        options.model = (options.model or work / "small-model").resolve()
        if not (options.model / "processor_config.json").is_file():  # written last
            run([sys.executable, HERE / "epoch_model.py", options.dataset, options.model, "--small"])
        (check if options.check else race)(Sides(options, work), options)


if __name__ == "__main__":
    main()
