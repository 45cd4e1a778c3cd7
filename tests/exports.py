"""Opens what `fedbench export` writes with the packages that it is for.   python exports.py PROGRAM EASY_VQA

A small LLaVA with random weights (`bench/epoch_model.py --small`) is tuned by LoRA for two rounds on a few rows of easy-VQA; the run is exported
in every format. TensorBoard's scalars are the run's records, lm-evaluation-harness' table shows its accuracy, Every Eval Ever's schema takes
its file, and peft's model gives the log-likelihoods of all options that the run gave, to 1e-4. Made with tensorboard 2.21.0,
lm-eval 0.4.13, every_eval_ever 0.3.0, torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import importlib.resources
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import pyarrow.parquet

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))
EXPERIMENT = """\
seed = 1
backbone.name = "{model}"
data = {{ dataset = "{dataset}", max_prompt_tokens = 512, train_limit = 80, test_limit = 20 }}
partition = {{ clients = 2, scheme = "iid" }}
federation = {{ rounds = 2, local_steps = 2, batch_size = 16 }}
optimizer.learning_rate = 1e-2
adapter = {{ kind = "lora", rank = 8 }}
method.name = "fedavg"
"""


def said(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def tensorboard(run, folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / run.name))
    events.Reload()
    found = {(tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)}
    records = pyarrow.parquet.read_table(run / "records.parquet").to_pylist()
    tag = lambda record: record["metric"] + ("" if record["client"] is None else f"/client-{record['client']}")
    wanted = {(tag(record), record["round"]): record["value"] for record in records}
    assert found.keys() == wanted.keys(), found.keys() ^ wanted.keys()
    assert all(math.isclose(found[key], wanted[key], rel_tol=1e-6) for key in wanted)
    print(f"tensorboard: {len(found)} scalars are the run's records")


def lm_eval(run, folder):
    from lm_eval.utils import make_table

    [results] = (folder / run.name).glob("results_*.json")
    [samples] = (folder / run.name).glob("samples_*.jsonl")
    accuracy = json.loads((run / "summary.json").read_text())["accuracy"]
    table = make_table(json.loads(results.read_text()))
    shown = float(table.splitlines()[2].split("|")[7])
    assert math.isclose(shown, accuracy, abs_tol=5e-5), table
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert math.isclose(sum(row["acc"] for row in rows) / len(rows), accuracy)
    print(f"lm-eval: its table shows {accuracy:.4f}, and {len(rows)} samples have it as their mean")


def schema_of_every_eval_ever():
    """The package's, which wants Python 3.12; otherwise the file that EVERY_EVAL_EVER_SCHEMA names, from its repository."""
    if "EVERY_EVAL_EVER_SCHEMA" in os.environ:
        return pathlib.Path(os.environ["EVERY_EVAL_EVER_SCHEMA"]).read_text()
    return importlib.resources.files("every_eval_ever.schemas").joinpath("eval.schema.json").read_text()


def every_eval_ever(folder):
    import jsonschema

    schema = json.loads(schema_of_every_eval_ever())
    [path] = folder.rglob("*.json")
    jsonschema.validate(json.loads(path.read_text()), schema)
    print(f"every-eval-ever: valid by schema {schema['version']}")


def peft(run, folder, model, dataset):
    import torch
    from peft import PeftModel

    import torch_federated
    from torch_epoch import Plain

    class Loaded(Plain):
        def attach(self):
            self.model = PeftModel.from_pretrained(self.model, folder / run.name).eval()

    stack = Loaded(model)
    rows = torch_federated.read(dataset, "test", stack.processor)
    worst = 0.0
    for answer in pyarrow.parquet.read_table(run / "predictions.parquet").to_pylist():
        with torch.no_grad():
            scores = stack.scores(rows[int(answer["example"].removeprefix("test-"))])
        worst = max(worst, *(abs(a - b) for a, b in zip(scores, answer["option_scores"], strict=True)))
    with stack.model.disable_adapter(), torch.no_grad():
        untouched = stack.scores(rows[0])
    moved = max(abs(a - b) for a, b in zip(untouched, stack.scores(rows[0])))
    assert worst <= 1e-4 < moved, (worst, moved)
    print(f"peft: log-likelihoods are the run's to {worst:.1e}, where the adapters move them by {float(moved):.2f}")


def main():
    program, dataset = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        model = work / "small-model"
        said(sys.executable, HERE.parent / "bench/epoch_model.py", dataset, model, "--small")
        (work / "x.toml").write_text(EXPERIMENT.format(model=model, dataset=dataset))
        said(program, "run", work / "x.toml", "--out", work / "runs", "--quiet")
        [run] = (work / "runs").iterdir()
        formats = "tensorboard,lm-eval,every-eval-ever,peft"
        said(program, "export", run, "--as", formats, "--out", work / "exports")
        tensorboard(run, work / "exports/tensorboard")
        lm_eval(run, work / "exports/lm-eval")
        every_eval_ever(work / "exports/every-eval-ever")
        peft(run, work / "exports/peft", model, dataset)


if __name__ == "__main__":
    main()
