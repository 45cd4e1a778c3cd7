"""The training step of `src/step.rs` in PyTorch: transformers' Llama with SDPA attention, logits at the answer tokens only.

Loss and gradients are those of the same model; fedbench leaves out the last block's q_proj, o_proj and MLP where nothing is read, which
transformers has no option for.

Pinned: torch 2.15.0, transformers 5.23.0, peft 0.21.2 (other versions run too; the report names those it found).
"""

import argparse
import json
import resource
import statistics
import time

import peft
import torch
import transformers

# width, blocks, query heads, key and value heads, width of the MLP, vocabulary; batch, tokens
SHAPES = {
    "S": ((192, 4, 6, 6, 512, 1024), 16, 112),
    "M": ((576, 30, 9, 3, 1536, 49152), 4, 128),
    "7B": ((4096, 32, 32, 32, 11008, 32000), 2, 640),
}
ANSWER, IMAGE = 8, 16


class NanoAdapter(torch.nn.Module):
    """h + alpha/r * up(down(h)), rank 64, alpha twice the rank."""

    def __init__(self, width, rank=64):
        super().__init__()
        self.down, self.up = torch.nn.Linear(width, rank, bias=False), torch.nn.Linear(rank, width, bias=False)
        torch.nn.init.zeros_(self.up.weight)

    def forward(self, hidden):
        return 2.0 * self.up(self.down(hidden))


class Step:
    def __init__(self, shape, kind, dtype, batch=None):
        (width, blocks, heads, kv_heads, mlp, vocabulary), self.batch, self.tokens = SHAPES[shape]
        self.batch = batch or self.batch
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            hidden_size=width, num_hidden_layers=blocks, num_attention_heads=heads, num_key_value_heads=kv_heads,
            intermediate_size=mlp, vocab_size=vocabulary, tie_word_embeddings=True, use_cache=False, rms_norm_eps=1e-5,
            attn_implementation="sdpa",
        )
        if torch.get_default_device().type != "cpu":
            torch.set_default_dtype(dtype)  # a large model would not fit as f32 first
        model = transformers.LlamaForCausalLM(config).to(dtype).train()
        torch.set_default_dtype(torch.float32)
        model.requires_grad_(False)
        self.embed = model.get_input_embeddings()
        if kind == "lora":
            lora = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], lora_dropout=0.0)
            model = peft.get_peft_model(model, lora)
            self.adapters = []
            trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        else:
            self.adapters = [NanoAdapter(width), NanoAdapter(width)]
            trained = [parameter for adapter in self.adapters for parameter in adapter.parameters()]
        self.model, self.optimizer = model, torch.optim.AdamW(trained, lr=1e-4)
        self.ids = torch.randint(300, min(1000, vocabulary), (self.batch, self.tokens + 1))
        self.features = torch.randn(self.batch, IMAGE, width, dtype=dtype)
        is_image = torch.zeros(self.batch, self.tokens, 1)
        is_image[:, :IMAGE] = 1.0
        self.masks = [is_image, 1.0 - is_image]

    def run(self):
        frozen = torch.cat([self.features, self.embed(self.ids[:, IMAGE:-1])], dim=1)
        hidden = frozen
        for adapter, mask in zip(self.adapters, self.masks):
            hidden = hidden + (adapter(frozen.float()) * mask).to(hidden.dtype)
        logits = self.model(inputs_embeds=hidden, logits_to_keep=ANSWER).logits.float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), self.ids[:, -ANSWER:].flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="S", choices=SHAPES)
    parser.add_argument("--kind", default="nano", choices=["nano", "lora"])
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--batch", type=int, help="sequences in a batch; the shape's without a number")
    parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"], help="of the frozen weights; adapters are f32")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    step = Step(options.shape, options.kind, {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype], options.batch)
    milliseconds = []
    for index in range(options.warm_up + options.steps):
        start = time.perf_counter()
        loss = step.run()
        if index >= options.warm_up:
            milliseconds.append((time.perf_counter() - start) * 1e3)
    on_gpu = options.device != "cpu"
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({
        "stack": f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}",
        "shape": options.shape, "kind": options.kind, "dtype": options.dtype, "device": options.device,
        "median_ms": statistics.median(milliseconds), "loss": loss, "peak_memory_mb": peak // 1_000_000, "milliseconds": milliseconds,
    }))


if __name__ == "__main__":
    main()
