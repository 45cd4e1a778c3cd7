"""Rounds of FedAvg on LoRA in Python, the counterpart of a `fedbench run`; `bench/federated.py` races both.

Each client starts from the merged adapters, takes a fixed number of AdamW steps on shuffled batches of its own rows and sends its
adapters; the server averages by clients' rows; after every round each test row's options are ranked by log-likelihood. peft attaches
LoRA of rank 8 to q_proj and v_proj of transformers' LLaVA, f32. Everything else is `torch_epoch.py`'s: plain, or `--careful`.
"""

import time

STARTED = time.perf_counter()  # before the imports, which are timed too

import argparse
import copy
import itertools
import json
import pathlib
import random
import resource

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

import torch_epoch
from torch_epoch import Careful, Clock, Plain, Row, evaluate

OPTIONS = ["yes", "no", "circle", "rectangle", "triangle", "black", "blue", "brown", "gray", "green", "red", "teal", "yellow"]


class Lora:
    """What is trained, instead of NanoAdapters."""

    def attach(self):
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=r".*language_model.*\.(q_proj|v_proj)", lora_dropout=0.0)
        self.model = peft.get_peft_model(self.model, config).eval()
        trained = [(name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        self.adapters = {fedbench_name(name): parameter for name, parameter in trained}

    def state(self):
        return {name: parameter.detach().clone() for name, parameter in self.adapters.items()}

    @torch.no_grad()
    def load(self, state):
        assert state.keys() == self.adapters.keys(), "adapters of other names"
        for name, tensor in state.items():
            self.adapters[name].copy_(tensor)


class PlainLora(Lora, Plain):
    pass


class CarefulLora(Lora, Careful):
    def embed(self, ids, features):
        is_image = (ids == self.model.config.image_token_id)[..., None]
        return self.model.get_input_embeddings()(ids).masked_scatter(is_image, features)


def fedbench_name(name):
    """`...layers.3.self_attn.q_proj.lora_A.default.weight` as `layers.3.q_proj.lora_A`."""
    return name[name.index("layers.") :].replace("self_attn.", "").removesuffix(".default.weight")


def read(dataset, split, processor):
    """easy-VQA names no options: they are the card's closed set."""
    path = next(dataset.glob(f"{split}*.parquet"))
    rows = torch_epoch.pyarrow.parquet.read_table(path, columns=["image", "question", "answer"]).to_pylist()
    more = lambda row: {"hint": "", "choices": OPTIONS, "answer": OPTIONS.index(row["answer"])}
    return [Row(row | more(row), processor) for row in rows]


def train(stack, rows, options, work):
    """So many steps; the mean loss, and the first."""
    optimizer = torch.optim.AdamW(stack.adapters.values(), lr=options.learning_rate, weight_decay=0.0)
    losses, epochs = [], itertools.chain.from_iterable(stack.batches(rows, options.batch_size) for _ in itertools.count())
    for batch in itertools.islice(epochs, options.steps):
        loss = stack.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        work["steps"] += 1
        work["examples"] += len(batch[1])
    return sum(losses) / len(losses)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--dataset", type=pathlib.Path, required=True)
    parser.add_argument("--partition", type=pathlib.Path, required=True, help="partition.json of fedbench's run")
    parser.add_argument("--careful", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--start", type=pathlib.Path, help="adapters to start from; drawn without it")
    parser.add_argument("--save", type=pathlib.Path, help="where the merged adapters go")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    random.seed(0)
    clock = Clock()
    clock.seconds["imports"] = time.perf_counter() - STARTED
    with clock.time("weights"):
        stack = (CarefulLora if options.careful else PlainLora)(options.model)
        if options.start:
            stack.load(load_file(options.start))
    with clock.time("reading"):
        rows, test = [read(options.dataset, split, stack.processor) for split in ["train", "test"]]
    shards = json.loads(options.partition.read_text())["shards"]
    shards = [[rows[int(example.removeprefix("train-"))] for example in shard["train"]] for shard in shards]
    with clock.time("features"):
        stack.prepare([row for shard in shards for row in shard])
        stack.prepare(test)
    work, losses, correct = dict.fromkeys(["steps", "examples"], 0), [], []
    for _ in range(options.rounds):
        start, updates = stack.state(), []
        for shard in shards:
            stack.load(start)
            with clock.time("training"):
                losses.append(train(stack, shard, options, work))
            updates.append(copy.deepcopy(stack.state()))
        with clock.time("merging"):
            weights = [len(shard) / sum(map(len, shards)) for shard in shards]
            stack.load({name: sum(w * update[name] for w, update in zip(weights, updates)) for name in start})
        with clock.time("evaluation"):
            scores = evaluate(stack, test)
        correct.append(sum(max(range(len(found)), key=found.__getitem__) == row.gold for found, row in zip(scores, test)))
    if options.save:
        save_file(stack.state(), options.save)
    modules = {"torch": torch, "transformers": transformers, "peft": peft}
    print(json.dumps({
        "side": "careful" if options.careful else "plain",
        "stack": ", ".join(f"{name} {module.__version__}" for name, module in modules.items()),
        "seconds": clock.seconds, "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000,
        **work, "test_rows": len(test), "options": sum(map(len, scores)), "losses": losses, "scores": scores,
        "accuracy": [right / len(test) for right in correct],
    }))  # fmt: skip


if __name__ == "__main__":
    main()
