//! What the model is asked, and what a generated answer means.

use schema::card::{Prompt, Target};

use super::{Answer, Corners, Example};

/// An example as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt, without the backbone's own chat format.
    pub text: String,
    /// The candidate answers as the model should say them, in the order of the choices; empty for free text.
    pub targets: Vec<String>,
    /// Which of them is right.
    pub gold: Option<usize>,
    /// The right answer as the model should say it.
    pub gold_text: String,
    /// What several people answered, or all that is right as the model should say it; empty where there is one right answer.
    pub people: Vec<String>,
    /// The right part of the picture: left, top, right and bottom, as shares; none where another thing is asked for.
    pub corners: Option<Corners>,
}

/// Whether a prompt asks what it is to ask, with placeholders that exist. The error is a reason.
pub(super) fn check(prompt: &Prompt) -> Result<(), String> {
    let known = |text: &str, what: &str, names: &[&str]| match placeholders(text).find(|name| !names.contains(name)) {
        Some(unknown) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{{{name}}}`")).collect();
            Err(format!("`{what}` holds `{{{}}}`; there are {}", super::error::brief(unknown), names.join(", ")))
        }
        None => Ok(()),
    };
    known(&prompt.template, "template", &["hint", "question", "options"])?;
    known(&prompt.option, "option", &["letter", "text"])?;
    for (key, text) in [("template", &prompt.template), ("option", &prompt.option)] {
        if let Some(mark) = picture_mark(text) {
            return Err(format!(
                "`{key}` holds `{mark}`; pictures stand in front of the text, put there by the backbone's own chat format: leave it out"
            ));
        }
    }
    if !prompt.template.contains("{question}") {
        return Err("`template` has no `{question}`, so every row would be asked the same".into());
    }
    let options = prompt.template.contains("{options}");
    if prompt.target == Target::Letter && !(options && prompt.option.contains("{letter}")) {
        return Err(
            "`target` is `letter`, but no letters are shown: `template` needs `{options}`, and `option` `{letter}`".into()
        );
    }
    match options && placeholders(&prompt.option).next().is_none() {
        true => Err("`option` has neither `{letter}` nor `{text}`, so all options look the same".into()),
        false => Ok(()),
    }
}

/// What some model takes for the place of a picture: `<image>`, `<image 1>`, `<|image_1|>`, `<ImageHere>`, `<img>`, `</Img>`.
fn picture_mark(text: &str) -> Option<&str> {
    let spans = text.match_indices('<').filter_map(|(at, _)| Some(&text[at..at + text[at..].find('>')? + 1]));
    let is_mark = |span: &&str| {
        let name = span[1..span.len() - 1].trim_matches(['|', '/', ' ', '_']).to_lowercase();
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || ['_', '-', ' '].contains(&c));
        plain && name.len() <= 24 && ["image", "img", "picture"].iter().any(|word| name.starts_with(word))
    };
    spans.into_iter().find(is_mark)
}

/// What a text holds in braces that looks like a name.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split('{').skip(1).filter_map(|after| after.split_once('}')).map(|(inside, _)| inside);
    inside.filter(|name| {
        let bare = name.trim();
        bare.starts_with(char::is_alphabetic) && bare.chars().all(|c| c.is_alphanumeric() || ['_', '-', ' '].contains(&c))
    })
}

/// Fills a prompt's template with an example. A line whose placeholders are all empty is left out.
pub fn render(example: &Example, prompt: &Prompt) -> Rendered {
    let options = options(&example.choices, &prompt.option);
    let values = [("hint", example.hint.as_str()), ("question", &example.question), ("options", &options)];
    let lines: Vec<String> = prompt.template.split('\n').filter_map(|line| fill_line(line, &values)).collect();
    let (gold, right): (usize, &[usize]) = match &example.answer {
        Answer::Choice(gold) => (*gold, &[]),
        Answer::AnyOf { gold, all } => (*gold, all),
        Answer::Text(_) | Answer::People { .. } | Answer::Box { .. } => {
            let people = if let Answer::People { all, .. } = &example.answer { all.clone() } else { vec![] };
            let corners = if let Answer::Box { corners, .. } = &example.answer { Some(*corners) } else { None };
            let (text, gold_text) = (lines.join("\n"), example.answer_text().into());
            return Rendered { text, targets: vec![], gold: None, gold_text, people, corners };
        }
    };
    let targets: Vec<String> = match prompt.target {
        Target::Letter => (0..example.choices.len()).map(letter).collect(),
        Target::Text => example.choices.clone(),
    };
    let people = right.iter().map(|&option| targets[option].clone()).collect();
    let (text, gold_text) = (lines.join("\n"), targets[gold].clone());
    Rendered { text, gold: Some(gold), gold_text, targets, people, corners: None }
}

/// A, B, C, ... Z, AA, AB, ...
pub fn letter(index: usize) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    if index < 26 { last.into() } else { format!("{}{last}", letter(index / 26 - 1)) }
}

fn options(choices: &[String], template: &str) -> String {
    let lines = choices.iter().enumerate().map(|(index, text)| {
        let letter = letter(index);
        fill(template, &[("letter", &letter), ("text", text)]).0
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A filled line; none where it has placeholders and all are empty.
fn fill_line(line: &str, values: &[(&str, &str)]) -> Option<String> {
    let (filled, used) = fill(line, values);
    (used.is_empty() || used.iter().any(|value| !value.is_empty())).then_some(filled)
}

/// Replaces `{name}` by its value, once over the text so that a value with braces stays as it is; also gives the values used.
fn fill<'a>(template: &str, values: &[(&str, &'a str)]) -> (String, Vec<&'a str>) {
    let (mut filled, mut used, mut rest) = (String::new(), Vec::new(), template);
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let name = rest.find('}').map(|close| &rest[1..close]);
        let value = name.and_then(|name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (name, *value)));
        match value {
            Some((name, value)) => {
                filled.push_str(value);
                used.push(value);
                rest = &rest[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    (filled, used)
}

/// Which choice a generated answer names; none where it names none.
///
/// Letters by LLaVA's rule (`eval_science_qa.py`): the letter alone, or first and followed by `. `, or in the only
/// `The answer is X.`; a letter beyond the choices names none. Texts by equality after [`normalize`].
pub fn parse_choice(generated: &str, choices: &[String], target: Target) -> Option<usize> {
    match target {
        Target::Letter => parse_letter(generated.trim()).filter(|index| *index < choices.len()),
        Target::Text => {
            let exact = choices.iter().position(|choice| choice.trim() == generated.trim());
            let given = normalize(generated);
            exact.or_else(|| choices.iter().position(|choice| normalize(choice) == given))
        }
    }
}

fn parse_letter(text: &str) -> Option<usize> {
    let mut characters = text.chars();
    let first = characters.next().and_then(number);
    if first.is_some() && (characters.as_str().is_empty() || characters.as_str().starts_with(". ")) {
        return first;
    }
    // LLaVA's regular expression is `The answer is ([A-Z]).`, where the last dot is any character of the line.
    let mut named = text.split("The answer is ").skip(1).filter_map(|after| {
        let mut characters = after.chars();
        let letter = characters.next().and_then(number)?;
        characters.next().filter(|next| *next != '\n').map(|_| letter)
    });
    match (named.next(), named.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// 0 for A, 25 for Z.
fn number(letter: char) -> Option<usize> {
    letter.is_ascii_uppercase().then(|| letter as usize - 'A' as usize)
}

/// Lower-case, with single spaces and without a period at the end: how texts are compared.
pub fn normalize(text: &str) -> String {
    let spaced = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    spaced.trim_end_matches('.').trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    fn example(hint: &str, choices: &[&str], answer: Answer) -> Example {
        Example {
            id: "x".into(),
            question: "Which {hint}?".into(),
            hint: hint.into(),
            choices: choices.iter().map(ToString::to_string).collect(),
            answer,
            images: vec![],
            card: Arc::new(crate::testing::card()),
            tags: BTreeMap::new(),
            row: 0,
            raw_bytes: 0,
        }
    }

    fn llava(target: Target) -> Prompt {
        Prompt {
            template: "Context: {hint}\n{question}\n{options}\nAnswer with the option's letter.".into(),
            option: "{letter}. {text}".into(),
            target,
        }
    }

    #[test]
    fn letters_and_options() {
        let rendered = render(&example("Look.", &["rose", "grass"], Answer::Choice(1)), &llava(Target::Letter));
        assert_eq!(rendered.text, "Context: Look.\nWhich {hint}?\nA. rose\nB. grass\nAnswer with the option's letter.");
        assert_eq!((rendered.targets, rendered.gold, rendered.gold_text.as_str()), (vec!["A".into(), "B".into()], Some(1), "B"));
    }

    #[test]
    fn a_template_has_no_place_for_pictures() {
        let with = |text: &str| Prompt { template: format!("{text}{{question}}"), option: "{text}".into(), target: Target::Text };
        for mark in ["<image>", "<image 1>", "<|image_1|>", "<ImageHere>", "<Img>", "</Img>", "<img_token>", "<IMAGE>"] {
            let reason = check(&with(&format!("USER: {mark}\n"))).expect_err(mark);
            assert!(reason.contains(&format!("`template` holds `{mark}`")) && reason.contains("leave it out"), "{reason}");
        }
        for text in ["", "Is 3 < 4 or 4 > 3? ", "<b>", "<imagine you are a judge, as you > ", "an image: ", "<imag>"] {
            assert!(check(&with(text)).is_ok(), "{text}");
        }
        let option = Prompt { option: "<image> {text}".into(), ..with("") };
        assert!(check(&option).expect_err("an option").contains("`option` holds `<image>`"));
    }

    #[test]
    fn lines_with_nothing_to_say_are_left_out() {
        let rendered = render(&example("", &[], Answer::Text("7".into())), &llava(Target::Text));
        assert_eq!(rendered.text, "Which {hint}?\nAnswer with the option's letter.");
        assert_eq!((rendered.targets.len(), rendered.gold, rendered.gold_text.as_str()), (0, None, "7"));
    }

    #[test]
    fn unknown_braces_and_blank_lines_stay() {
        let prompt = Prompt { template: "{x} {question\n\n{question}".into(), ..llava(Target::Text) };
        let rendered = render(&example("", &["a", "b"], Answer::Choice(0)), &prompt);
        assert_eq!((rendered.text.as_str(), rendered.gold_text.as_str()), ("{x} {question\n\nWhich {hint}?", "a"));
    }

    #[test]
    fn prompts_ask_what_they_are_to_ask() {
        let with =
            |template: &str, option: &str, target| check(&Prompt { template: template.into(), option: option.into(), target });
        let plain = "{letter}. {text}";
        for good in ["{question}", "{hint}\n{question}\n{options}", "{{question}} {} {\"a\": 1} {question"] {
            assert_eq!(with(good, plain, Target::Text), Ok(()), "{good}");
        }
        assert_eq!(with("{question}{options}", plain, Target::Letter), Ok(()));
        for (template, option, target, part) in [
            ("What?", plain, Target::Text, "has no `{question}`"),
            ("{Question}", plain, Target::Text, "holds `{Question}`; there are `{hint}`, `{question}`, `{options}`"),
            ("{question}{ hint }", plain, Target::Text, "holds `{ hint }`"),
            ("{question} {x}", plain, Target::Text, "holds `{x}`"),
            ("{question}{options}", "{letter} {Text}", Target::Text, "`option` holds `{Text}`"),
            ("{question}{options}", "-", Target::Text, "look the same"),
            ("{question}", plain, Target::Letter, "no letters are shown"),
            ("{question}{options}", "{text}", Target::Letter, "no letters are shown"),
        ] {
            let error = with(template, option, target).expect_err(template);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 27, 52].map(letter), ["A", "Z", "AA", "AB", "BA"]);
    }

    #[test]
    fn letters_by_llavas_rule() {
        let choices: Vec<String> = ["x", "y", "z"].map(String::from).to_vec();
        for (generated, expect) in [
            ("B", Some(1)),
            (" C\n", Some(2)),
            ("B. y", Some(1)),
            ("B.y", None),
            ("b", None),
            ("D", None),
            ("Because", None),
            ("I think. The answer is C.", Some(2)),
            ("The answer is A. The answer is B.", None),
            ("The answer is A", None),
            ("", None),
        ] {
            assert_eq!(parse_choice(generated, &choices, Target::Letter), expect, "{generated}");
        }
    }

    #[test]
    fn texts_by_normalised_equality() {
        let choices: Vec<String> = ["North  America", "Asia."].map(String::from).to_vec();
        assert_eq!(parse_choice(" north america.", &choices, Target::Text), Some(0));
        assert_eq!(parse_choice("ASIA", &choices, Target::Text), Some(1));
        assert_eq!(parse_choice("Africa", &choices, Target::Text), None);
        let alike: Vec<String> = ["Yes", "yes"].map(String::from).to_vec();
        assert_eq!(parse_choice("yes", &alike, Target::Text), Some(1), "the very text first");
        assert_eq!(normalize(" A \n b . "), "a b");
    }
}
