"""One round of FedNano and its evaluation in Python, the counterpart of a `fedbench run`; `bench/epoch.py` alternates both.

Each client trains NanoAdapters for one epoch from the same start (AdamW, padded batches), then squares its examples' own
gradients, one at a time; the server merges by Fisher information; every test row's options are ranked by log-likelihood. Data
come through pyarrow, PIL and transformers' processor; the model is transformers' LLaVA with SDPA attention in f32, frozen. peft
has no NanoAdapter, so two forward hooks attach them: behind the connector and behind the token embedding.

Without options it is what one writes first, and what transformers' Trainer would do:
- a DataLoader decodes, preprocesses and tokenizes as it goes; batches are shuffled, padded to their longest;
- the model gets pixels and labels, sees each picture in every pass, and computes the logits of all tokens;
- an option is a sequence of its own, a row's options one padded batch.

`--careful` is what one writes with time in mind:
- each picture goes through tower and connector once, each text through the tokenizer once;
- like lengths share a batch: sorted within windows of eight batches, as fedbench does;
- logits only where an answer is (`logits_to_keep`; padding is on the left, so all answers end together);
- a row's prompt is computed once, its options continue from its key-value cache.

Pinned: torch 2.15.0, transformers 5.23.0, pyarrow 26.0.1, pillow 13.0.0 (others run too; the report names those it found).
"""

import time

STARTED = time.perf_counter()  # before the imports, which are timed too

import argparse
import contextlib
import copy
import io
import json
import pathlib
import random
import resource

import PIL
import pyarrow.parquet
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from torch_step import NanoAdapter

END = "</s>"
MAX_PROMPT_TOKENS = 512  # fedbench cuts longer prompts; here there must be none
FLOOR = 1e-12  # of a Fisher: below it, the plain average
WINDOW = 8
IMAGES_AT_ONCE = 32
DTYPES = {"f32": "float32", "bf16": "bfloat16"}


class Clock:
    """Seconds by what they were spent on."""

    def __init__(self):
        self.seconds = {}

    @contextlib.contextmanager
    def time(self, what):
        start = time.perf_counter()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - start


class Row:
    """A question: its picture's bytes, the options, and the card's prompt as a user's turn."""

    def __init__(self, columns, processor):
        self.image, self.options, self.gold = columns["image"]["bytes"], columns["choices"], columns["answer"]
        hint = [f"Context: {columns['hint']}"] if columns["hint"] else []
        question = "\n".join([*hint, columns["question"]])
        assert len(processor.tokenizer(question, add_special_tokens=False)["input_ids"]) <= MAX_PROMPT_TOKENS
        content = [{"type": "image"}, {"type": "text", "text": question}]
        self.prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    def picture(self):
        return Image.open(io.BytesIO(self.image)).convert("RGB")


def read(dataset, split, processor):
    path = next(dataset.glob(f"{split}*.parquet"))
    table = pyarrow.parquet.read_table(path, columns=["image", "question", "hint", "choices", "answer"])
    return [Row(columns, processor) for columns in table.to_pylist()]


class Plain:
    """The stack as one writes it first."""

    def __init__(self, folder, dtype=torch.float32):
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        self.processor.tokenizer.padding_side = "left"
        self.model = transformers.LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa"
        )
        self.model.eval().requires_grad_(False)
        width = self.model.config.text_config.hidden_size
        self.adapters = torch.nn.ModuleDict({"image": NanoAdapter(width), "text": NanoAdapter(width)})
        self.attach()
        self.padded = 0

    def attach(self):
        """What the text adapter makes of image tokens is written over by the picture."""
        self.model.get_input_embeddings().register_forward_hook(self.adapted("text"))
        self.model.model.multi_modal_projector.register_forward_hook(self.adapted("image"))

    def adapted(self, site):
        return lambda module, given, hidden: self.added(site, hidden)

    def added(self, site, hidden):
        """Adapters are f32 in any case."""
        return hidden + self.adapters[site](hidden.float()).to(hidden.dtype)

    def prepare(self, rows):
        """What is computed once: nothing."""

    def batches(self, rows, size):
        return torch.utils.data.DataLoader(rows, size, shuffle=True, collate_fn=self.collate)

    def collate(self, rows):
        """Questions with their right answers."""
        return self.inputs([(row, row.options[row.gold]) for row in rows])

    def inputs(self, pairs):
        """A padded batch of rows with an answer each, and the answers' lengths, the end token included."""
        texts = [f"{row.prompt} {answer}{END}" for row, answer in pairs]
        inputs = self.processor(text=texts, images=[row.picture() for row, _ in pairs], padding=True, return_tensors="pt")
        tokens = lambda texts: self.processor.tokenizer(texts)["input_ids"]
        prompts = tokens([row.prompt for row, _ in pairs])
        return inputs, [len(whole) - len(prompt) for whole, prompt in zip(tokens(texts), prompts)]

    def loss(self, batch):
        """The mean over the batch's answer tokens."""
        inputs, lengths = batch
        self.padded += inputs["input_ids"].numel()
        return self.model(**inputs, labels=labels(inputs["input_ids"], lengths), use_cache=False).loss

    @staticmethod
    def tokens(batch):
        """Those that enter the model for a reason: an answer's last is only ever predicted."""
        inputs, lengths = batch
        return inputs["attention_mask"].sum().item() - len(lengths)

    def scores(self, row):
        """The log-likelihood of each option and the end token."""
        inputs, lengths = self.inputs([(row, option) for option in row.options])
        logits = self.model(**inputs, use_cache=False).logits
        return [log_likelihood(logits[i, -n - 1 : -1], inputs["input_ids"][i, -n:]) for i, n in enumerate(lengths)]


class Careful(Plain):
    """The stack as one writes it with time in mind."""

    def attach(self):
        """The connector's output is kept as it is without an adapter."""
        self.model.get_input_embeddings().register_forward_hook(self.adapted("text"))

    @torch.no_grad()
    def prepare(self, rows):
        for begin in range(0, len(rows), IMAGES_AT_ONCE):
            some = rows[begin : begin + IMAGES_AT_ONCE]
            inputs = self.processor(text=[row.prompt for row in some], images=[row.picture() for row in some])
            pixels = torch.as_tensor(inputs["pixel_values"]).to(self.model.dtype)
            for row, ids, features in zip(some, inputs["input_ids"], self.model.get_image_features(pixels).pooler_output):
                wholes = self.processor.tokenizer([f"{row.prompt} {option}{END}" for option in row.options])["input_ids"]
                begin_of_answer = len(self.processor.tokenizer(row.prompt)["input_ids"])
                row.ids, row.answers, row.features = ids, [whole[begin_of_answer:] for whole in wholes], features

    def batches(self, rows, size):
        """Shuffled, sorted by length within windows of eight batches, the batches shuffled."""
        rows = random.sample(rows, len(rows))
        windows = [rows[i : i + WINDOW * size] for i in range(0, len(rows), WINDOW * size)]
        windows = [sorted(window, key=lambda row: len(row.ids) + len(row.answers[row.gold])) for window in windows]
        batches = [window[i : i + size] for window in windows for i in range(0, len(window), size)]
        return map(self.collate, random.sample(batches, len(batches)))

    def collate(self, rows):
        sequences = {"input_ids": [row.ids + row.answers[row.gold] for row in rows]}
        inputs = self.processor.tokenizer.pad(sequences, return_tensors="pt")
        inputs["features"] = torch.stack([row.features for row in rows])
        return inputs, [len(row.answers[row.gold]) for row in rows]

    def embed(self, ids, features):
        hidden = self.model.get_input_embeddings()(ids)
        is_image = (ids == self.model.config.image_token_id)[..., None]
        return hidden.masked_scatter(is_image, self.added("image", features))

    def loss(self, batch):
        inputs, lengths = batch
        ids, keep = inputs["input_ids"], max(lengths) + 1
        self.padded += ids.numel()
        return self.model(
            inputs_embeds=self.embed(ids, inputs["features"]), attention_mask=inputs["attention_mask"],
            labels=labels(ids, lengths)[:, -keep:], logits_to_keep=keep, use_cache=False,
        ).loss  # fmt: skip

    def scores(self, row):
        """Options are padded on the right, where no token before them looks."""
        prompt = self.embed(torch.tensor([row.ids]), row.features[None])
        found = self.model(inputs_embeds=prompt, use_cache=True, logits_to_keep=1)
        found.past_key_values.batch_repeat_interleave(len(row.answers))
        answers = [torch.tensor(answer) for answer in row.answers]
        ids = torch.nn.utils.rnn.pad_sequence(answers, batch_first=True)
        further = self.model(input_ids=ids[:, :-1], past_key_values=found.past_key_values, use_cache=True).logits
        logits = torch.cat([found.logits.expand(len(answers), -1, -1), further], dim=1)
        return [log_likelihood(logits[i, : len(answer)], answer) for i, answer in enumerate(answers)]


def labels(ids, lengths):
    """The answers, at the sequences' ends; nothing is asked elsewhere."""
    labels = torch.full_like(ids, -100)
    for i, length in enumerate(lengths):
        labels[i, -length:] = ids[i, -length:]
    return labels


def log_likelihood(logits, answer):
    return logits.float().log_softmax(-1).gather(1, answer[:, None]).sum().item()


def train(stack, rows, options, work):
    """One epoch; the mean loss over its steps."""
    optimizer = torch.optim.AdamW(stack.adapters.parameters(), lr=options.learning_rate, weight_decay=0.0)
    losses = []
    for batch in stack.batches(rows, options.batch_size):
        loss = stack.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        work["steps"] += 1
        work["examples"] += len(batch[1])
        work["tokens"] += stack.tokens(batch)
    return sum(losses) / len(losses)


def fisher(stack, rows, work):
    """The mean over examples of the squared gradient of the answer's summed negative log-likelihood."""
    sums = {name: torch.zeros_like(parameter) for name, parameter in stack.adapters.named_parameters()}
    for row in rows:
        batch = stack.collate([row])
        stack.adapters.zero_grad()
        (stack.loss(batch) * batch[1][0]).backward()
        for name, parameter in stack.adapters.named_parameters():
            sums[name] += parameter.grad**2
        work["fisher_examples"] += 1
        work["tokens"] += stack.tokens(batch)
    return {name: total / len(rows) for name, total in sums.items()}


def merge(updates, weights):
    """sum_k p_k F_k theta_k / sum_k p_k F_k, elementwise; the plain average below the floor."""
    merged = {}
    for name in updates[0][0]:
        mean = sum(weight * adapters[name] for weight, (adapters, _) in zip(weights, updates))
        information = sum(weight * squares[name] for weight, (_, squares) in zip(weights, updates))
        moment = sum(weight * squares[name] * adapters[name] for weight, (adapters, squares) in zip(weights, updates))
        merged[name] = torch.where(information >= FLOOR, moment / information.clamp(min=FLOOR), mean)
    return merged


@torch.no_grad()
def evaluate(stack, rows):
    return [stack.scores(row) for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--dataset", type=pathlib.Path, required=True)
    parser.add_argument("--partition", type=pathlib.Path, required=True, help="partition.json of fedbench's run")
    parser.add_argument("--careful", action="store_true")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="of the frozen model, hidden states included")
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
        stack = (Careful if options.careful else Plain)(options.model, getattr(torch, DTYPES[options.dtype]))
        named = lambda name: name.removesuffix(".weight")
        if options.start:
            start = load_file(options.start)
            stack.adapters.load_state_dict({name: start[named(name)] for name in stack.adapters.state_dict()})
    with clock.time("reading"):
        rows, test = [read(options.dataset, split, stack.processor) for split in ["train", "test"]]
    with clock.time("features"):
        stack.prepare(rows)
        stack.prepare(test)

    shards = json.loads(options.partition.read_text())["shards"]
    shards = [[rows[int(example.removeprefix("train-"))] for example in shard["train"]] for shard in shards]
    start = copy.deepcopy(stack.adapters.state_dict())
    work = dict.fromkeys(["steps", "examples", "fisher_examples", "tokens"], 0)
    losses, updates = [], []
    for shard in shards:
        stack.adapters.load_state_dict(start)
        with clock.time("training"):
            losses.append(train(stack, shard, options, work))
        with clock.time("fisher"):
            squares = fisher(stack, shard, work)
        updates.append((copy.deepcopy(stack.adapters.state_dict()), squares))
    with clock.time("merging"):
        stack.adapters.load_state_dict(merge(updates, [len(shard) / sum(map(len, shards)) for shard in shards]))
    with clock.time("evaluation"):
        scores = evaluate(stack, test)
    if options.save:
        save_file({named(name): tensor for name, tensor in stack.adapters.state_dict().items()}, options.save)
    versions = {"torch": torch, "transformers": transformers, "pyarrow": pyarrow, "pillow": PIL}
    print(json.dumps({
        "side": "careful" if options.careful else "plain",
        "stack": ", ".join(f"{name} {module.__version__}" for name, module in versions.items()),
        "seconds": clock.seconds, "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000,
        **work, "padded_tokens": stack.padded, "test_rows": len(test), "options": sum(map(len, scores)),
        "losses": losses, "scores": scores,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
