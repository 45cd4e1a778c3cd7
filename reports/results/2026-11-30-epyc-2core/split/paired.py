"""What encodings of activations cost, paired by seed: paired.py RUNS, the run folders of the suite `activations`."""

import json
import statistics
import sys
import tomllib
from pathlib import Path

QUANTILE = 2.776  # Student's, 97.5%, of five seeds

runs = {}
for summary_file in Path(sys.argv[1]).glob("*/summary.json"):
    summary = json.loads(summary_file.read_text())
    federation = tomllib.loads((summary_file.parent / "experiment.toml").read_text())["federation"]
    key = (summary["method"], federation["loss_at"], federation.get("activations", "f32"))
    carried = summary["activation_uplink_bytes"] + summary["activation_downlink_bytes"]
    runs.setdefault(key, {})[summary["seed"]] = (100 * summary["accuracy"], carried)
for (method, loss_at, activations), found in sorted(runs.items()):
    plain = runs[method, "server", "f32"]
    away = [found[seed][0] - plain[seed][0] for seed in sorted(plain)]
    mean, sd = statistics.mean(away), statistics.stdev(away)
    half = QUANTILE * sd / len(away) ** 0.5
    accuracy = statistics.mean(accuracy for accuracy, _ in found.values())
    carried = found[1][1] / plain[1][1]
    print(f"| `{method}` | {loss_at} | {activations} | {carried:.2f} | {accuracy:.1f} | {mean:+.1f} ± {sd:.1f} | {mean - half:+.1f} to {mean + half:+.1f} |")
