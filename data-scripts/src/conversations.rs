//! Questions written as conversations: `{"id", "image", "conversations": [{"from": "human", "value"}, {"from": "gpt", "value"}]}`,
//! the format that LLaVA is tuned on, with the options inside the prompt (`Choice list:[...]`), as FedMosaic writes them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A question with its options taken out of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The pictures' paths as the record has them.
    pub images: Vec<String>,
    /// The prompt without pictures and options.
    pub text: String,
    /// The options, each once.
    pub choices: Vec<String>,
    /// The right option: one of `choices`, letter for letter.
    pub answer: String,
}

/// Records of a file; more are an error, not a part of them.
const MOST_RECORDS: usize = 1_000_000;
/// Bytes of a record; a longer one is an error.
const LONGEST_RECORD: usize = 1 << 20;

/// Calls `each` with every record of a JSON list, one at a time and its place before it; gives their number, or what is wrong.
pub fn records(json: &[u8], each: &mut dyn FnMut(usize, &[u8])) -> Result<usize, String> {
    let mut at = after_blanks(json, 0);
    if json.get(at) != Some(&b'[') {
        return Err("it is no list".into());
    }
    at = after_blanks(json, at + 1);
    let mut count = 0;
    while json.get(at) != Some(&b']') || count > 0 {
        // What is ignored takes no memory and no depth.
        let mut stream = serde_json::Deserializer::from_slice(&json[at..]).into_iter::<IgnoredAny>();
        match stream.next() {
            Some(Ok(_)) if count == MOST_RECORDS => return Err(format!("more than {MOST_RECORDS} records")),
            Some(Ok(_)) if stream.byte_offset() > LONGEST_RECORD => {
                return Err(format!("record {count} is longer than {LONGEST_RECORD} bytes"));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(format!("record {count}: {error}")),
            None => return Err(format!("it ends before record {count}")),
        }
        let end = at + stream.byte_offset();
        each(count, &json[at..end]);
        count += 1;
        at = after_blanks(json, end);
        match json.get(at) {
            Some(b',') => at = after_blanks(json, at + 1),
            Some(b']') => break,
            _ => return Err(format!("after record {}: expected `,` or `]`", count - 1)),
        }
    }
    match after_blanks(json, at + 1) == json.len() {
        true => Ok(count),
        false => Err("something comes behind the list".into()),
    }
}

fn after_blanks(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[derive(Deserialize)]
struct Record {
    image: Images,
    conversations: Vec<Turn>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Images {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Turn {
    from: String,
    value: String,
}

/// Where a picture stands in a prompt.
const IMAGE: &str = "<image>";
/// What comes before the options.
const CHOICES: &str = "Choice list";

impl Question {
    /// Reads a record; otherwise what is wrong with it.
    pub fn read(record: &Value) -> Result<Self, String> {
        let Record { image, conversations } = Record::deserialize(record).map_err(|error| error.to_string())?;
        let images = match image {
            Images::One(image) => vec![image],
            Images::Several(images) => images,
        };
        let said = |by: &str| conversations.iter().find(|turn| turn.from == by).map(|turn| turn.value.as_str());
        let prompt = said("human").ok_or("no turn is from `human`")?;
        let answer = said("gpt").ok_or("no turn is from `gpt`")?.trim();
        let (question, listed) = at_choices(prompt).ok_or_else(|| format!("the prompt has no `{CHOICES}:[...]`"))?;
        let text = without_pictures(question, images.len());
        let choices = options(listed, answer);
        if text.is_empty() {
            return Err("the question is empty".into());
        }
        let shown = |text: &str| guard::text::line(text, 120);
        if !choices.iter().any(|choice| choice == answer) {
            return Err(format!("the answer `{}` is not among the choices `{}`", shown(answer), shown(listed)));
        }
        if choices.len() < 2 {
            return Err(format!("only one choice: `{}`", shown(listed)));
        }
        Ok(Self { images, text, choices, answer: answer.into() })
    }
}

/// What comes before the last list of options, and what is within its brackets.
fn at_choices(prompt: &str) -> Option<(&str, &str)> {
    let end = prompt.rfind(']')?;
    prompt.rmatch_indices(CHOICES).find_map(|(at, marker)| {
        let rest = prompt[..end].get(at + marker.len()..)?;
        let rest = rest.strip_prefix('s').unwrap_or(rest).trim_start().strip_prefix(':')?;
        let within = rest.trim_start().strip_prefix('[')?.trim();
        let inner = within.strip_prefix('[').and_then(|within| within.strip_suffix(']'));
        Some((&prompt[..at], inner.unwrap_or(within).trim()))
    })
}

/// The text without its places for pictures: of several, each leaves its number; lines trimmed, empty ones left out.
fn without_pictures(text: &str, images: usize) -> String {
    let mut parts = text.split(IMAGE);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for (i, part) in parts.enumerate() {
        if images > 1 {
            whole.push_str(&format!("image {}", i + 1));
        }
        whole.push_str(part);
    }
    let lines: Vec<&str> = whole.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join("\n");
    text.strip_prefix("Question:").map_or(text.as_str(), str::trim_start).to_owned()
}

/// Options as Python prints a list of strings, or joined by commas; each once, in order.
fn options(listed: &str, answer: &str) -> Vec<String> {
    let written = python_strings(listed).unwrap_or_else(|| comma_joined(listed, answer));
    let mut known = BTreeSet::new();
    let options = written.iter().map(|option| option.trim()).filter(|option| !option.is_empty());
    options.filter(|option| known.insert(option.to_owned())).map(str::to_owned).collect()
}

/// `'a', "it's"`; none where it is something else.
fn python_strings(listed: &str) -> Option<Vec<String>> {
    let mut strings = Vec::new();
    let mut rest = listed.trim_start();
    while let Some(quote) = rest.chars().next() {
        if quote != '\'' && quote != '"' {
            return None;
        }
        let (string, after) = unquoted(&rest[1..], quote)?;
        strings.push(string);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(strings).filter(|strings| !strings.is_empty())
}

/// A string up to its closing quote, and what comes behind that.
fn unquoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut string = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                'n' => string.push('\n'),
                't' => string.push('\t'),
                other @ ('\\' | '\'' | '"') => string.push(other),
                other => string.extend(['\\', other]),
            },
            _ if character == quote => return Some((string, &text[at + 1..])),
            _ => string.push(character),
        }
    }
    None
}

/// Options between commas, so that an answer with commas stays whole.
fn comma_joined(listed: &str, answer: &str) -> Vec<String> {
    let pieces = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
    match listed.split_once(answer) {
        Some((before, after)) if answer.contains(", ") => {
            let mut options = pieces(before);
            options.push(answer.to_owned());
            options.extend(pieces(after));
            options
        }
        _ => pieces(listed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(image: Value, prompt: &str, answer: &str) -> Result<Question, String> {
        let turns = json!([{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]);
        Question::read(&json!({"id": 7, "image": image, "conversations": turns}))
    }

    /// The ways in which the constituents of HFLB write a prompt.
    #[test]
    fn every_way_of_listing_options_is_read() {
        let one = json!("dataset/GQA/images/1.jpg");
        for (prompt, answer, text, choices) in [
            (
                "<image>\n Question: Is it red?\n Choice lists: ['no', 'yes'].\n Your answer is:",
                "yes",
                "Is it red?",
                vec!["no", "yes"],
            ),
            (
                "You must choose your answer from the Choice List.\n<image>Question: Whose?\nChoice list:[[\"the girl's\", 'a\\'b']].\n Your answer is:",
                "the girl's",
                "You must choose your answer from the Choice List.\nQuestion: Whose?",
                vec!["the girl's", "a'b"],
            ),
            (
                "Premise Image: <image>\n Hypothesis: A dog. Choice list: [entailment, neutral, contradiction]. Your answer is:",
                "neutral",
                "Premise Image:\nHypothesis: A dog.",
                vec!["entailment", "neutral", "contradiction"],
            ),
            ("What is it?\nChoice list:[a tin, soup, a tin]. Your answer is: ", "soup", "What is it?", vec!["a tin", "soup"]),
            ("What?\nChoice list:[x, red, green, y]. Your answer is: ", "red, green", "What?", vec!["x", "red, green", "y"]),
        ] {
            let question = read(one.clone(), prompt, answer).unwrap();
            assert_eq!((question.text.as_str(), question.answer.as_str()), (text, answer), "{prompt}");
            assert_eq!(question.choices, choices, "{prompt}");
            assert_eq!(question.images, ["dataset/GQA/images/1.jpg"]);
        }
    }

    #[test]
    fn records_come_one_by_one() {
        let read = |json: &str| {
            let mut found = Vec::new();
            let count =
                records(json.as_bytes(), &mut |at, record| found.push((at, String::from_utf8_lossy(record).into_owned())))?;
            assert_eq!(count, found.len());
            Ok::<_, String>(found)
        };
        assert_eq!(read(" [ ] "), Ok(vec![]));
        let two = vec![(0, r#"{"a": [1, "]"]}"#.to_owned()), (1, r#""b, c""#.into())];
        assert_eq!(read("[{\"a\": [1, \"]\"]} ,\n\"b, c\"]\n"), Ok(two));
        for (wrong, says) in [
            ("", "no list"),
            ("{}", "no list"),
            ("[", "ends before record 0"),
            ("[{}", "after record 0"),
            ("[{},", "ends before record 1"),
            ("[{},]", "record 1"),
            ("[{} {}]", "after record 0"),
            ("[{}]]", "behind the list"),
            ("[,]", "record 0"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
        assert!(read(&"[".repeat(100_000)).unwrap_err().contains("record 0: EOF"));
    }

    #[test]
    fn several_pictures_keep_their_places() {
        let prompt = "Left: <image>, right: <image>. Both are dogs.\nChoice list:[True, False]. Your answer is:";
        let question = read(json!(["a.png", "b.png"]), prompt, "False").unwrap();
        assert_eq!(question.text, "Left: image 1, right: image 2. Both are dogs.");
        assert_eq!((question.images.len(), question.choices), (2, vec!["True".to_owned(), "False".into()]));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (prompt, answer, says) in [
            ("<image>What?", "a", "has no `Choice list:[...]`"),
            ("What?\nChoice list:[a, b].", "c", "`c` is not among the choices `a, b`"),
            ("What?\nChoice list:['a', 'a'].", "a", "only one choice"),
            ("<image>\nChoice list:[a, b].", "a", "the question is empty"),
        ] {
            assert!(read(json!("a.jpg"), prompt, answer).unwrap_err().contains(says), "{prompt}");
        }
        assert!(Question::read(&json!({"image": 3, "conversations": []})).is_err());
        assert!(Question::read(&json!({"image": "a", "conversations": []})).unwrap_err().contains("`human`"));
    }
}
