"""The model folder of `bench/epoch.py`: a LLaVA with random weights, as `save_pretrained` writes it.

    python bench/epoch_model.py DATASET FOLDER [--small]

decoder    SmolLM2-135M's shape: width 576, 30 blocks, 9 query heads over 3, MLP 1536, vocabulary 49152, tied head
tower      CLIP with ViT-S/16's shape: width 384, 12 blocks, 6 heads, MLP 1536; a picture of 112 pixels gives 49 tokens
connector  LLaVA's two layers
tokenizer  byte-level BPE with single digits, as SmolLM2's, of 8,192 tokens trained on the dataset's training split

A test question of ScienceQA-IMG-resplit has 47 tokens on average with this tokenizer and 44 with SmolLM2's own, 31 and 28 at the
median. The tower is small: SmolVLM-256M's has four times the parameters and sees 512 pixels.

`--small` is that of `bench/federated.py`: width 192, four blocks, six heads, MLP 512, 1,024 tokens; a tower of width 96 and four blocks
that makes 16 tokens of a picture of 64 pixels.
"""

import argparse
import pathlib

import pyarrow.parquet
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SEED = 0
PATCH = 16
LARGE = dict(
    tokens=8192,
    vision=dict(hidden_size=384, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=6, image_size=112),
    text=dict(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, vocab_size=49152
    ),
)
SMALL = dict(
    tokens=1024,
    vision=dict(hidden_size=96, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4, image_size=64),
    text=dict(hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=6, vocab_size=1024),
)
SPECIAL = ["<pad>", "<s>", "</s>", "<image>"]
TEMPLATE = (  # that of llava-hf/llava-1.5-7b-hf
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tokenizer(dataset, tokens):
    rows = pyarrow.parquet.read_table(next(dataset.glob("train*.parquet"))).to_pylist()
    corpus = [text for row in rows for text in [row["question"], row.get("hint", ""), *row.get("choices", [row["answer"]])]]
    corpus += ["USER: \nContext: ", "What? ASSISTANT:"] * 100
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=tokens, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", SPECIAL.index("<s>"))])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=pathlib.Path, help="the folder of scienceqa-img-resplit")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    shape = SMALL if options.small else LARGE
    side, tokens = shape["vision"]["image_size"], shape["tokens"]
    config = LlavaConfig(
        vision_config=dict(model_type="clip_vision_model", patch_size=PATCH, **shape["vision"]),
        text_config=dict(
            model_type="llama", **shape["text"], rms_norm_eps=1e-5, max_position_embeddings=8192,
            tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
            pad_token_id=0, bos_token_id=1, eos_token_id=2,
        ),
        image_token_index=SPECIAL.index("<image>"), image_seq_length=(side // PATCH) ** 2, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(SEED)
    LlavaForConditionalGeneration(config).float().save_pretrained(options.folder)
    LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
        tokenizer(options.dataset, tokens), patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(options.folder)  # fmt: skip


if __name__ == "__main__":
    main()
