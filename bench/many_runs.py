"""Makes a large study out of one small run folder, to time `fedbench report` on it.

    pip install pyarrow==25.0.0 numpy
    python bench/many_runs.py RUN_FOLDER OUT          # 1,000 runs x 20 clients x 50 rounds, 10^6 records, 10^7 predictions
    time fedbench report OUT --out /tmp/report

The runs are those of 100 made-up settings x 10 seeds: the numbers are random and mean nothing.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SETTINGS, SEEDS, CLIENTS, ROUNDS, EXAMPLES = 100, 10, 20, 50, 10_000
METHODS = ["fedavg-nano", "fednano", "fednano-ef", "local"]

source, out = Path(sys.argv[1]), Path(sys.argv[2])
draw = np.random.default_rng(0)
schema = pq.read_schema(source / "predictions.parquet")
records_schema = pq.read_schema(source / "records.parquet")
experiment = (source / "experiment.toml").read_text()
summary = json.loads((source / "summary.json").read_text())
examples = pa.array([f"test-{i}" for i in range(EXAMPLES)])


def predictions(right):
    columns = {
        "example": examples,
        "client": pa.nulls(EXAMPLES, pa.uint32()),
        "shard": pa.array(np.arange(EXAMPLES) % CLIENTS, pa.uint32()),
        "scoring": pa.array(["option-likelihood"] * EXAMPLES),
        "prediction": pa.array(["a"] * EXAMPLES),
        "gold": pa.array(["a"] * EXAMPLES),
        "correct": pa.array(right),
        "parsed": pa.array([True] * EXAMPLES),
        "option_scores": pa.array([[-1.0, -2.0]] * EXAMPLES, pa.list_(pa.float64())),
        "gold_option": pa.array([0] * EXAMPLES, pa.uint32()),
    }
    return pa.table({name: columns[name] for name in schema.names})


def records(accuracy):
    rounds = np.repeat(np.arange(1, ROUNDS + 1), CLIENTS)
    clients = np.tile(np.arange(CLIENTS), ROUNDS)
    whole = np.arange(1, ROUNDS + 1)
    columns = {
        "round": pa.array(np.r_[rounds, whole], pa.uint32()),
        "client": pa.array([*clients.tolist(), *[None] * ROUNDS], pa.uint32()),
        "metric": pa.array(["client_accuracy"] * len(rounds) + ["accuracy"] * ROUNDS),
        "value": pa.array(np.r_[draw.uniform(0.3, 0.6, len(rounds)), np.full(ROUNDS, accuracy)]),
    }
    return pa.table({name: columns[name] for name in records_schema.names})


for setting in range(SETTINGS):
    method, rank = METHODS[setting % len(METHODS)], 1 + setting // len(METHODS)
    for seed in range(1, SEEDS + 1):
        folder = out / f"{method}-r{rank}-s{seed}"
        folder.mkdir(parents=True)
        for name in ("card.toml", "environment.json", "partition.json", "skipped.json"):
            shutil.copy(source / name, folder / name)
        lines = [f"seed = {seed}" if line.startswith("seed =") else line for line in experiment.splitlines()]
        lines = [f"rank = {rank}" if line.startswith("rank =") else line for line in lines]
        lines = [f'name = "{method}"' if line == f'name = "{summary["method"]}"' else line for line in lines]
        (folder / "experiment.toml").write_text("\n".join(lines) + "\n")
        right = draw.random(EXAMPLES) < 0.5
        pq.write_table(predictions(right), folder / "predictions.parquet")
        pq.write_table(records(float(right.mean())), folder / "records.parquet")
        shards = [float(right[np.arange(EXAMPLES) % CLIENTS == client].mean()) for client in range(CLIENTS)]
        changed = {"run": folder.name, "method": method, "seed": seed, "accuracy": float(right.mean()), "test_examples": EXAMPLES}
        changed |= {"client_accuracy_mean": float(np.mean(shards)), "client_accuracy_min": min(shards), "unparsed_rate": 0.0}
        (folder / "summary.json").write_text(json.dumps(summary | changed))
