//! A `tokenizer.json` and its use within budgets.
//!
//! The tokenizers library trusts its file: it panics over contradictions, its normalizers may double a text any number of times, and
//! its patterns may backtrack for hours. So what a file describes is looked at before the library reads it, no text may become longer
//! than [`MAX_LENGTH`], and what may be slow runs on a thread of its own, which is left behind if it does not end in time.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use fancy_regex::Regex;
use guard::panics::caught;
use guard::text::line;
use machine::clock::Stopwatch;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{Encoding, ModelWrapper, NormalizedString, Normalizer, Tokenizer};

/// The bytes that normalizer and pre-tokenizer may make of a text, at worst. (Each may become a piece with a token, some hundred
/// bytes of memory.)
const MAX_LENGTH: f64 = (4 << 20) as f64;

/// A text that is certainly to be read, bytes: a tokenizer that may make more than [`MAX_LENGTH`] of it is refused.
const ORDINARY: f64 = 1_000.0;

/// A text longer than this is given a thread of its own; bytes.
const LONG: usize = 1 << 16;

/// A tokenizer that takes longer over one text, or its file to be read, is given up; seconds.
const PATIENCE: u64 = 5;

/// More steps than a normalizer, pre-tokenizer, decoder or post-processor has (DeepSeek's pre-tokenizer has five).
const MAX_STEPS: usize = 64;

/// Bytes of a pattern. (Published ones have a few hundred.)
const MAX_PATTERN: usize = 10_000;

/// Bytes that a step puts in the place of others. (Published ones put three.)
const MAX_CONTENT: usize = 1_000;

/// More added tokens than any model has.
const MAX_ADDED: usize = 50_000;

/// Reads a `tokenizer.json`; the error is a sentence. What it says of truncation and padding is left out, as transformers does: a
/// prompt would lose tokens or, padded to a length of the file's choice, fill memory.
pub(super) fn read(json: Vec<u8>) -> Result<Tokenizer, String> {
    let described: Described = serde_json::from_slice(&json).map_err(|error| line(&error.to_string(), 300))?;
    watched("what it describes", move || described.check().map_err(Into::into))??;
    let mut tokenizer = watched("reading it", move || Tokenizer::from_bytes(json))??;
    caught("tokenizers", || tokenizer.with_truncation(None).map(|_| ()).map_err(|error| error.to_string()))??;
    tokenizer.with_padding(None);
    if tokenizer.get_vocab_size(false) == 0 {
        return Err("its vocabulary is empty".into());
    }
    Ok(tokenizer)
}

/// What is looked at before the library reads a file.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    dropout: Option<f64>,
}

impl Described {
    fn check(&self) -> Result<(), String> {
        if self.added_tokens.len() > MAX_ADDED {
            return Err(format!("it has {} added tokens; at most {MAX_ADDED} are read", self.added_tokens.len()));
        }
        if let Some(long) = self.added_tokens.iter().find(|added| added.content.len() > MAX_CONTENT) {
            return Err(format!("its added token {} has {} bytes; at most {MAX_CONTENT} are read", long.id, long.content.len()));
        }
        if let Some(dropout) = self.model.dropout.filter(|&dropout| dropout != 0.0) {
            return Err(format!("model.dropout = {dropout}: its tokens would be drawn by chance; expected 0 or null"));
        }
        once(self.post_processor.as_ref())?;
        let limits = Limits::of([&self.normalizer, &self.pre_tokenizer, &self.decoder].map(Option::as_ref))?;
        // The library normalizes them when it reads the file.
        let made: f64 = self.added_tokens.iter().map(|added| limits.growth.of(added.content.len() as f64)).sum();
        match made > MAX_LENGTH {
            true => Err(format!("its added tokens may become {made:.0} bytes; at most {MAX_LENGTH} are read")),
            false => Ok(()),
        }
    }
}

/// Fails if a post-processor writes a text more than once.
fn once(step: Option<&Value>) -> Result<(), String> {
    let each = |list: &str| step.and_then(|step| step.get(list)).and_then(Value::as_array).into_iter().flatten();
    if each("processors").count() > MAX_STEPS {
        return Err(format!("post_processor has more than {MAX_STEPS} steps"));
    }
    each("processors").try_for_each(|step| once(Some(step)))?;
    match each("single").filter(|piece| piece.get("Sequence").is_some()).count() {
        0 | 1 => Ok(()),
        times => Err(format!("post_processor.single writes the text {times} times; expected once")),
    }
}

/// How a tokenizer may be used.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// What normalizer and pre-tokenizer make of a text.
    growth: Growth,
    /// The patterns of both.
    patterns: Arc<[Regex]>,
    /// Whether it holds patterns of its own, or a model that is not linear in its text.
    may_be_slow: bool,
}

impl Limits {
    /// Of a normalizer, a pre-tokenizer and a decoder as their file has them; an error if an ordinary text may become too long.
    fn of([normalizer, pre_tokenizer, decoder]: [Option<&Value>; 3]) -> Result<Self, String> {
        let mut forwards = Steps::default();
        normalizer.map_or(Ok(()), |step| forwards.add("normalizer", step))?;
        pre_tokenizer.map_or(Ok(()), |step| forwards.add("pre_tokenizer", step))?;
        let mut backwards = Steps::default();
        decoder.map_or(Ok(()), |step| backwards.add("decoder", step))?;
        for (what, growth) in [("normalizer and pre-tokenizer", forwards.growth), ("decoder", backwards.growth)] {
            if growth.of(ORDINARY) > MAX_LENGTH {
                let (made, most) = (growth.of(ORDINARY), MAX_LENGTH);
                return Err(format!("its {what} may make {made:.0e} bytes of a text of {ORDINARY}; at most {most} are read"));
            }
        }
        let compiled = |pattern: &String| Regex::new(pattern).map_err(|error| line(&error.to_string(), 300));
        let patterns = forwards.patterns.iter().map(compiled).collect::<Result<_, _>>()?;
        let may_be_slow = forwards.may_be_slow || backwards.may_be_slow;
        Ok(Self { growth: forwards.growth, patterns, may_be_slow })
    }

    /// Of a tokenizer that was read.
    pub(super) fn of_tokenizer(tokenizer: &Tokenizer) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| error.to_string();
        let normalizer = serde_json::to_value(tokenizer.get_normalizer()).map_err(wrong)?;
        let pre_tokenizer = serde_json::to_value(tokenizer.get_pre_tokenizer()).map_err(wrong)?;
        let decoder = serde_json::to_value(tokenizer.get_decoder()).map_err(wrong)?;
        let limits = Self::of([&normalizer, &pre_tokenizer, &decoder].map(|step| Some(step).filter(|step| !step.is_null())))?;
        let slow = matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_) | ModelWrapper::Unigram(_));
        Ok(Self { may_be_slow: limits.may_be_slow || slow, ..limits })
    }

    /// Text to tokens, no special tokens added; the error is a sentence.
    pub(super) fn encode(&self, tokenizer: &Arc<Tokenizer>, text: &str) -> Result<Encoding, String> {
        let made = self.growth.of(text.len() as f64);
        if made > MAX_LENGTH {
            return Err(format!(
                "a text of {} bytes, of which its tokenizer may make {made:.0}; at most {MAX_LENGTH} are read",
                text.len()
            ));
        }
        if !self.may_be_slow && text.len() <= LONG {
            return caught("tokenizers", || tokenizer.encode(text, false).map_err(|error| error.to_string()))?;
        }
        let (tokenizer, patterns, owned) = (tokenizer.clone(), self.patterns.clone(), text.to_owned());
        let work = move || {
            followed(&patterns, &tokenizer, &owned)?;
            tokenizer.encode(owned, false)
        };
        watched(&one_text(text), work)?
    }

    /// Tokens to text, special tokens left out; the error is a sentence.
    pub(super) fn decode(&self, tokenizer: &Arc<Tokenizer>, ids: &[u32]) -> Result<String, String> {
        if !self.may_be_slow {
            return caught("tokenizers", || tokenizer.decode(ids, true).map_err(|error| error.to_string()))?;
        }
        let (tokenizer, ids) = (tokenizer.clone(), ids.to_vec());
        watched(&format!("{} tokens of one text", ids.len()), move || tokenizer.decode(&ids, true))?
    }
}

/// Fails if a pattern gives up on a text: the library would take what is left of it for one piece, and say nothing.
fn followed(patterns: &[Regex], tokenizer: &Tokenizer, text: &str) -> tokenizers::Result<()> {
    if patterns.is_empty() {
        return Ok(());
    }
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut normalized)?;
    }
    let clock = Stopwatch::start();
    for (pattern, text) in patterns.iter().flat_map(|pattern| [(pattern, text), (pattern, normalized.get())]) {
        for found in pattern.find_iter(text) {
            if let Err(error) = found {
                return Err(format!("a pattern of the tokenizer gives up on a text of {} bytes: {error}", text.len()).into());
            }
            // Nobody waits any more: an end for the thread.
            if clock.seconds() > PATIENCE as f64 {
                return Err(given_up(&one_text(text)).into());
            }
        }
    }
    Ok(())
}

fn one_text(text: &str) -> String {
    format!("one text of {} bytes", text.len())
}

fn given_up(what: &str) -> String {
    format!("the tokenizers library did not end {what} in {PATIENCE} seconds: a pattern in it backtracks, or it is too large")
}

/// Does the library's work on a thread of its own and gives it up if it does not end in time. (A thread cannot be ended; the error
/// ends the command.)
fn watched<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> tokenizers::Result<T> + Send + 'static,
) -> Result<Result<T, String>, String> {
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let done = caught("tokenizers", || work().map_err(|error| line(&error.to_string(), 300)));
        // Nobody waits for what comes too late.
        let _ = sender.send(done);
    };
    std::thread::Builder::new().spawn(work).map_err(|error| format!("no thread for the tokenizer: {error}"))?;
    receiver.recv_timeout(Duration::from_secs(PATIENCE)).map_err(|_| given_up(what))?
}

/// Bytes become at most `factor` times as many and `extra` more.
#[derive(Debug, Clone, Copy)]
struct Growth {
    factor: f64,
    extra: f64,
}

impl Growth {
    fn of(self, bytes: f64) -> f64 {
        bytes * self.factor + self.extra
    }

    fn then(self, next: Self) -> Self {
        Self { factor: self.factor * next.factor, extra: next.of(self.extra) }
    }

    /// Of a replacement of `found` bytes by `content`; a pattern of none may be found between any two letters.
    fn of_replacement(found: f64, content: f64) -> Self {
        match found == 0.0 {
            true => Self { factor: 1.0 + content, extra: content },
            false => Self { factor: (content / found).max(1.0), extra: 0.0 },
        }
    }

    /// Of a step whose kind alone says it.
    fn of_kind(kind: &str) -> Self {
        let (factor, extra) = match kind {
            "NFC" | "NFD" => (4.0, 0.0),
            // One letter of three bytes becomes 33: U+FDFA.
            "NFKC" | "NFKD" => (11.0, 0.0),
            "BertNormalizer" | "Bert" => (6.0, 0.0),
            "ByteLevel" => (2.0, 1.0),
            // Three bytes for a space and, at worst, for the beginning of every piece.
            "Metaspace" => (7.0, 4.0),
            "Strip" | "StripAccents" | "StripNormalizer" | "Nmt" | "Split" | "Whitespace" | "WhitespaceSplit" | "Punctuation"
            | "Digits" | "UnicodeScripts" | "FixedLength" | "CharDelimiterSplit" | "Delimiter" | "BertPreTokenizer" | "Fuse"
            | "ByteFallback" => (1.0, 0.0),
            // `Lowercase`, and decoders that put a space or a mark somewhere.
            _ => (2.0, 4.0),
        };
        Self { factor, extra }
    }
}

/// What the steps of a part do one after the other.
struct Steps {
    count: usize,
    growth: Growth,
    patterns: Vec<String>,
    may_be_slow: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self { count: 0, growth: Growth { factor: 1.0, extra: 0.0 }, patterns: Vec::new(), may_be_slow: false }
    }
}

impl Steps {
    fn add(&mut self, part: &str, step: &Value) -> Result<(), String> {
        let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type");
        if kind.is_empty() {
            return Err(format!("{part} has a step without a `type`"));
        }
        self.count += 1;
        if self.count > MAX_STEPS {
            return Err(format!("{part} has more than {MAX_STEPS} steps"));
        }
        if kind == "Sequence" {
            let lists = ["normalizers", "pretokenizers", "decoders"].iter().filter_map(|list| step.get(list)?.as_array());
            return lists.flatten().try_for_each(|step| self.add(part, step));
        }
        let short = |key: &str, value: &str, most: usize| match value.len() <= most {
            true => Ok(value.len() as f64),
            false => Err(format!("{part}: {key} of a {} has {} bytes; at most {most} are read", line(kind, 40), value.len())),
        };
        let pattern = step.get("pattern");
        let regex = pattern.and_then(|pattern| pattern.get("Regex")).and_then(Value::as_str);
        let literal = pattern.and_then(|pattern| pattern.get("String")).and_then(Value::as_str);
        let found = short("the pattern", regex.or(literal).unwrap_or_default(), MAX_PATTERN)?;
        self.may_be_slow |= regex.is_some() || kind == "Precompiled";
        self.patterns.extend(regex.map(str::to_owned));
        let content = short("the content", text("content"), MAX_CONTENT)?;
        let prepended = short("the text", text("prepend"), MAX_CONTENT)?;
        let table = || longest_replacement(text("precompiled_charsmap"));
        let growth = match kind {
            "Precompiled" => {
                let longest = table().map_err(|what| format!("{part}: precompiled_charsmap: {what}"))?;
                Growth { factor: longest.max(1.0), extra: 0.0 }
            }
            "Replace" if regex.is_some() => Growth::of_replacement(0.0, content),
            "Replace" => Growth::of_replacement(found, content),
            "Prepend" => Growth { factor: 1.0, extra: prepended },
            kind => Growth::of_kind(kind),
        };
        self.growth = self.growth.then(growth);
        Ok(())
    }
}

/// The bytes of the longest text that a SentencePiece table puts in the place of a letter: behind 4 bytes of length and its trie, texts
/// that end in a zero. The library takes memory for as long a trie as the table states.
fn longest_replacement(base64: &str) -> Result<f64, String> {
    let table = decoded(base64.as_bytes());
    let Some((length, rest)) = table.split_first_chunk() else { return Ok(0.0) };
    let trie = u32::from_le_bytes(*length) as usize;
    let Some(texts) = rest.get(trie..) else {
        return Err(format!("it states a trie of {trie} bytes, and {} follow: it is damaged", rest.len()));
    };
    Ok(texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0) as f64)
}

/// The bytes that base64 stands for; what is no letter of it ends it.
fn decoded(base64: &[u8]) -> Vec<u8> {
    let six = |letter: &u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let letters: Vec<u8> = base64.iter().map_while(six).collect();
    let bytes = letters.chunks(4).flat_map(|four| {
        let joined = four.iter().enumerate().fold(0u32, |joined, (at, &six)| joined | u32::from(six) << (18 - 6 * at));
        joined.to_be_bytes().into_iter().skip(1).take(four.len() - 1)
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer of the letters a, b and x, with these parts.
    fn tokenizer(parts: &str) -> Result<Tokenizer, String> {
        let model = r#""model":{"type":"BPE","vocab":{"a":0,"b":1,"x":2,"<u>":3},"merges":[],"unk_token":"<u>"}"#;
        read(format!(r#"{{"version":"1.0",{parts}{model}}}"#).into_bytes())
    }

    fn encoded(parts: &str, text: &str) -> Result<Vec<u32>, String> {
        let tokenizer = Arc::new(tokenizer(parts)?);
        Ok(Limits::of_tokenizer(&tokenizer)?.encode(&tokenizer, text)?.get_ids().to_vec())
    }

    fn replace(pattern: &str, content: &str) -> String {
        format!(r#"{{"type":"Replace","pattern":{pattern},"content":"{content}"}}"#)
    }

    fn sequence(steps: &[String]) -> String {
        format!(r#""normalizer":{{"type":"Sequence","normalizers":[{}]}},"#, steps.join(","))
    }

    #[test]
    fn a_text_may_not_become_any_length() {
        let double = replace(r#"{"String":"a"}"#, "aa");
        assert_eq!(encoded(&sequence(&vec![double.clone(); 3]), "ab").expect("8 times"), [vec![0; 8], vec![1]].concat());
        let error = encoded(&sequence(&vec![double.clone(); 40]), "ab").expect_err("2^40 times");
        assert!(error.contains("its normalizer and pre-tokenizer may make 1e15 bytes of a text of 1000"), "{error}");
        let ten = sequence(&vec![double.clone(); 10]);
        let error = encoded(&ten, &"a".repeat(5_000)).expect_err("2^10 times");
        assert!(error.contains("a text of 5000 bytes, of which its tokenizer may make 5120000"), "{error}");
        assert!(encoded(&sequence(&vec![double; 100]), "a").expect_err("steps").contains("more than 64 steps"));
        let long = sequence(&[replace(r#"{"String":"a"}"#, &"a".repeat(1_001))]);
        assert!(encoded(&long, "a").expect_err("content").contains("has 1001 bytes; at most 1000"));
        let anywhere = sequence(&vec![replace(r#"{"Regex":"a*"}"#, "aaa"); 9]);
        assert!(encoded(&anywhere, "a").expect_err("4^9").contains("bytes of a text"));
        let many = "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},".repeat(2);
        let twice = format!(
            r#""post_processor":{{"type":"TemplateProcessing","single":[{}],"pair":[],"special_tokens":{{}}}},"#,
            many.trim_end_matches(',')
        );
        assert!(encoded(&twice, "a").expect_err("twice").contains("writes the text 2 times"));
    }

    #[test]
    fn a_pattern_that_backtracks_is_given_up() {
        let slow = r#""pre_tokenizer":{"type":"Split","behavior":"Isolated","invert":false,"pattern":{"Regex":"(?=(a*)(a*)(a*)\\3b)x|[^x]"}},"#;
        assert_eq!(encoded(slow, "aab").expect("quick"), [0, 0, 1]);
        let clock = Stopwatch::start();
        let found = encoded(slow, &format!("{}x", "a".repeat(100)).repeat(400));
        let seconds = clock.seconds();
        assert!(seconds <= (PATIENCE + 5) as f64, "{seconds} s");
        let error = found.expect_err("it backtracks");
        assert!(error.contains("did not end one text of 40400 bytes in 5 seconds"), "{error}");
    }

    #[test]
    fn a_pattern_that_gives_up_is_an_error() {
        let pattern = |regex: &str| {
            format!(r#""pre_tokenizer":{{"type":"Split","behavior":"Isolated","invert":false,"pattern":{{"Regex":"{regex}"}}}},"#)
        };
        // Exponential: after a million steps back nothing more is found.
        let error = encoded(&pattern(r"(a+)+\\1b|x"), &format!("{}x", "a".repeat(200))).expect_err("given up");
        assert!(error.contains("a pattern of the tokenizer gives up on a text of 201 bytes"), "{error}");
        assert_eq!(encoded(&pattern(r"\\s+(?!\\S)|x"), "axb").expect("sound"), [0, 2, 1]);
        assert!(encoded(&pattern("("), "a").is_err());
    }

    #[test]
    fn what_contradicts_itself_is_an_error() {
        let error = tokenizer(r#""normalizer":{"content":"x"},"#).map(|_| ()).expect_err("no type");
        assert!(error.contains("normalizer has a step without a `type`"), "{error}");
        let long = format!(r#""added_tokens":[{{"id":4,"content":"{}"}}],"#, "x".repeat(1_001));
        assert!(tokenizer(&long).map(|_| ()).expect_err("long").contains("added token 4 has 1001 bytes"));
        let of = |model: &str| read(format!(r#"{{"version":"1.0","model":{model}}}"#).into_bytes()).map(|_| ()).expect_err(model);
        assert!(of(r#"{"type":"BPE","vocab":{},"merges":[]}"#).contains("its vocabulary is empty"));
        assert!(of(r#"{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}"#).contains("model.dropout = 0.1"));
        let prefix = r#"{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]],"continuing_subword_prefix":"xyz"}"#;
        assert!(of(prefix).contains("the tokenizers library panicked over it"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.into_bytes()).map(|_| ()).expect_err("deep").len() < 500);
    }

    #[test]
    fn the_longest_replacement_of_a_table_is_found() {
        // A trie of 4 bytes, then "ab", "cde" and "f", each behind a zero or at the end.
        assert_eq!(decoded(b"BAAAAAECAwRhYgBjZGUAZg=="), [4, 0, 0, 0, 1, 2, 3, 4, b'a', b'b', 0, b'c', b'd', b'e', 0, b'f']);
        assert_eq!(longest_replacement("BAAAAAECAwRhYgBjZGUAZg=="), Ok(3.0));
        assert_eq!(longest_replacement(""), Ok(0.0));
    }

    #[test]
    fn a_table_may_not_state_more_than_it_holds() {
        for (table, expect) in [("//////////8=", "4294967295 bytes, and 4 follow"), ("BQAAAAECAwQ=", "5 bytes, and 4 follow")] {
            let step = format!(r#"{{"type":"Precompiled","precompiled_charsmap":"{table}"}}"#);
            for parts in [format!(r#""normalizer":{step},"#), sequence(std::slice::from_ref(&step))] {
                let error = tokenizer(&parts).map(|_| ()).expect_err(table);
                assert!(
                    error.contains("normalizer: precompiled_charsmap: it states a trie of") && error.contains(expect),
                    "{error}"
                );
            }
        }
    }
}
