"""What encodings of activations cost, paired by seed: python paired.py, over activations.csv."""

import csv
import statistics
from pathlib import Path

QUANTILE = 2.776  # Student's, 97.5%, of five seeds

runs = {}
for row in csv.DictReader((Path(__file__).parent / "activations.csv").open()):
    key = (row["method"], row["loss_at"], row["activations"])
    carried = int(row["activation_uplink_bytes"]) + int(row["activation_downlink_bytes"])
    runs.setdefault(key, {})[row["seed"]] = (100 * int(row["right"]) / int(row["test_examples"]), carried)
for (method, loss_at, activations), found in sorted(runs.items()):
    plain = runs[method, "server", "f32"]
    away = [found[seed][0] - plain[seed][0] for seed in sorted(plain)]
    mean, sd = statistics.mean(away), statistics.stdev(away)
    half = QUANTILE * sd / len(away) ** 0.5
    accuracy = statistics.mean(accuracy for accuracy, _ in found.values())
    carried = found["1"][1] / plain["1"][1]
    paired = f"{mean:+.1f} ± {sd:.1f} | {mean - half:+.1f} to {mean + half:+.1f}"
    print(f"| `{method}` | {loss_at} | {activations} | {carried:.2f} | {accuracy:.1f} | {paired} |")
