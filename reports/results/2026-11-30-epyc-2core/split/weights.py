"""A folder of LLaVA's layout with random weights (bf16): make.py OUT tower-width tower-hidden tower-blocks tower-heads image patch width hidden blocks heads kv vocab tied"""
import json, shutil, sys, numpy as np
from pathlib import Path
out, *n = sys.argv[1:]
vw, vh, vb, vheads, image, patch, d, hidden, blocks, heads, kv, vocab, tied = map(int, n)
src, out = Path(__file__).parents[4] / "tests/fixtures/folders/llava", Path(out)
out.mkdir(parents=True, exist_ok=True)
c = json.loads((src / "config.json").read_text())
c["text_config"] = dict(model_type="llama", hidden_size=d, intermediate_size=hidden, num_hidden_layers=blocks, num_attention_heads=heads, num_key_value_heads=kv, vocab_size=vocab, rms_norm_eps=1e-5, tie_word_embeddings=bool(tied), max_position_embeddings=4096)
c["tie_word_embeddings"] = bool(tied)
c["vision_config"].update(hidden_size=vw, intermediate_size=vh, num_hidden_layers=vb, num_attention_heads=vheads, image_size=image, patch_size=patch)
c.pop("image_seq_length", None); c.pop("dtype", None)
(out / "config.json").write_text(json.dumps(c))
p = json.loads((src / "processor_config.json").read_text())
p["image_processor"].update(crop_size=dict(height=image, width=image), size=dict(shortest_edge=image))
(out / "processor_config.json").write_text(json.dumps(p))
shutil.copy(src / "tokenizer.json", out)
T = {}
v = "vision_tower.vision_model."
T[v+"embeddings.class_embedding"] = [vw]; T[v+"embeddings.patch_embedding.weight"] = [vw,3,patch,patch]; T[v+"embeddings.position_embedding.weight"] = [(image//patch)**2+1, vw]
for norm in ["pre_layrnorm", "post_layernorm"]: T[v+norm+".weight"] = [vw]; T[v+norm+".bias"] = [vw]
for i in range(vb):
    e = f"{v}encoder.layers.{i}."
    for q in "qkv": T[e+f"self_attn.{q}_proj.weight"] = [vw,vw]; T[e+f"self_attn.{q}_proj.bias"] = [vw]
    T[e+"self_attn.out_proj.weight"] = [vw,vw]; T[e+"self_attn.out_proj.bias"] = [vw]
    for l in "12": T[e+f"layer_norm{l}.weight"] = [vw]; T[e+f"layer_norm{l}.bias"] = [vw]
    T[e+"mlp.fc1.weight"] = [vh,vw]; T[e+"mlp.fc1.bias"] = [vh]; T[e+"mlp.fc2.weight"] = [vw,vh]; T[e+"mlp.fc2.bias"] = [vw]
T["multi_modal_projector.linear_1.weight"] = [d,vw]; T["multi_modal_projector.linear_1.bias"] = [d]
T["multi_modal_projector.linear_2.weight"] = [d,d]; T["multi_modal_projector.linear_2.bias"] = [d]
l = "language_model."
T[l+"model.embed_tokens.weight"] = [vocab,d]; T[l+"model.norm.weight"] = [d]
if not tied: T[l+"lm_head.weight"] = [vocab,d]
hd = d // heads
for i in range(blocks):
    b = f"{l}model.layers.{i}."
    T[b+"self_attn.q_proj.weight"] = [d,d]; T[b+"self_attn.o_proj.weight"] = [d,d]
    for q in "kv": T[b+f"self_attn.{q}_proj.weight"] = [kv*hd,d]
    for m in ["gate","up"]: T[b+f"mlp.{m}_proj.weight"] = [hidden,d]
    T[b+"mlp.down_proj.weight"] = [d,hidden]
    T[b+"input_layernorm.weight"] = [d]; T[b+"post_attention_layernorm.weight"] = [d]
head, at = {}, 0
for k, s in T.items():
    size = 2*int(np.prod(s)); head[k] = dict(dtype="BF16", shape=s, data_offsets=[at, at+size]); at += size
h = json.dumps(head).encode(); h += b" " * (-len(h) % 8)
rng = np.random.default_rng(1)
with open(out / "model.safetensors", "wb") as f:
    f.write(len(h).to_bytes(8, "little")); f.write(h)
    for k, s in T.items():
        x = np.ones(s, np.float32) if "norm" in k and k.endswith("weight") else rng.standard_normal(s, np.float32) * (0.02 if len(s) > 1 else 0.0)
        f.write((x.view(np.uint32) >> 16).astype(np.uint16).tobytes())
print(out, at / 1e9, "GB", sum(int(np.prod(s)) for k, s in T.items() if not k.startswith(l) or "embed" in k), "parameters of the clients' half")
