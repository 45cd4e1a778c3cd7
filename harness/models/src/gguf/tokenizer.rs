//! The tokenizer in a GGUF file's metadata: byte-level BPE as GPT-2 has it, with SmolLM's way to split digits.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::file::Gguf;
use crate::{Result, tokenizer};

/// Token types of llama.cpp.
const NORMAL: i64 = 1;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Builds it as a `tokenizer.json` would be.
pub(super) fn build(file: &Gguf) -> Result<Tokenizer> {
    let key = "tokenizer.ggml.model";
    match file.text(key)? {
        Some("gpt2") => {}
        other => return Err(file.wrong(key, &format!("is {other:?}; only \"gpt2\" (byte-level BPE) is read"))),
    }
    let tokens = distinct(file)?;
    let vocabulary: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let described = json!({
        "version": "1.0",
        "added_tokens": added(file, tokens)?,
        "pre_tokenizer": pre_tokenizer(file)?,
        "decoder": byte_level(),
        "model": { "type": "BPE", "vocab": vocabulary, "merges": merges(file)? },
    });
    tokenizer::read(described.to_string().into_bytes()).map_err(|what| file.failed(format!("tokenizer.ggml: {what}")))
}

fn distinct(file: &Gguf) -> Result<&[String]> {
    let key = "tokenizer.ggml.tokens";
    let tokens = file.texts(key)?;
    let mut seen = BTreeSet::new();
    match tokens.iter().position(|token| !seen.insert(token)) {
        Some(id) => Err(file.wrong(key, &format!("has token {id} twice"))),
        None => Ok(tokens),
    }
}

/// Tokens that are found in a text before anything is split.
fn added(file: &Gguf, tokens: &[String]) -> Result<Vec<Value>> {
    let key = "tokenizer.ggml.token_type";
    let types = file.integers(key)?;
    if types.len() != tokens.len() {
        return Err(file.wrong(key, &format!("has {} entries for {} tokens", types.len(), tokens.len())));
    }
    if let Some(other) = types.iter().find(|kind| ![NORMAL, CONTROL, USER_DEFINED].contains(kind)) {
        return Err(
            file.wrong(key, &format!("has a token of type {other}; 1 (normal), 3 (control) and 4 (user-defined) are read"))
        );
    }
    let found = tokens.iter().zip(types).enumerate().filter(|(_, (_, kind))| **kind != NORMAL);
    Ok(found.map(|(id, (token, &kind))| token_table(id, token, kind == CONTROL)).collect())
}

fn token_table(id: usize, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "special": special,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    })
}

fn merges(file: &Gguf) -> Result<Vec<[&str; 2]>> {
    let key = "tokenizer.ggml.merges";
    let pair = |merge: &'_ String| -> Option<[usize; 2]> {
        let at = merge.find(' ')?;
        (at > 0 && at + 1 < merge.len() && !merge[at + 1..].contains(' ')).then_some([at, at + 1])
    };
    let whole = file.texts(key)?;
    whole
        .iter()
        .map(|merge| match pair(merge) {
            Some([end, begin]) => Ok([&merge[..end], &merge[begin..]]),
            None => Err(file.wrong(key, "has an entry that is not two tokens with a space between them")),
        })
        .collect()
}

fn pre_tokenizer(file: &Gguf) -> Result<Value> {
    let key = "tokenizer.ggml.pre";
    match file.text(key)? {
        Some("smollm") => Ok(json!({
            "type": "Sequence",
            "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level()],
        })),
        Some("gpt-2") => Ok(byte_level()),
        other => Err(file.wrong(key, &format!("is {other:?}; \"smollm\" and \"gpt-2\" are read"))),
    }
}

fn byte_level() -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true })
}
