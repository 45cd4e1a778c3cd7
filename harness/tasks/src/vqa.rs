//! Scores of one answer against several people's: VQA's soft accuracy and A-OKVQA's direct answers.

use std::collections::BTreeSet;

/// The punctuation that is deleted or becomes a space; apostrophe and colon stay.
const PUNCTUATION: &str = ";/[]\"{}()=+\\_-><@`,?!";
/// Contractions that come back from their letters alone (`dont`). Words are in lower case when they are looked up, so the official
/// list's entries with a capital never apply and are left out.
const CONTRACTIONS: &str = "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll \
    how's isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've shouldn't \
    somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's they'd they'll \
    they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd where's where've who'd who'll who's \
    who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've";
/// Contractions with two apostrophes, which come back where one of them is missing.
const DOUBLE: &str = "couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've \
    something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'll you'd've y'all'd've 'ow's'at";
/// One that loses its apostrophe.
const REVERSED: (&str, &str) = ("somebody'd", "somebodyd");
const NUMBERS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// VQA's soft accuracy: over the sets that leave one of the people out, the mean of min(1, people who said it / 3).
///
/// Answers are normalised unless all people said the same, as the official evaluation does, and compared in lower case.
pub fn soft_accuracy(answer: &str, people: &[String]) -> f64 {
    let answer = answer.replace(['\n', '\t'], " ").trim().to_owned();
    let agreed = people.iter().collect::<BTreeSet<_>>().len() <= 1;
    let read = |text: &str| if agreed { text.to_lowercase() } else { normalize(text).to_lowercase() };
    let answer = read(&answer);
    let same: Vec<bool> = people.iter().map(|said| read(said) == answer).collect();
    let matches = same.iter().filter(|same| **same).count();
    let left_out = same.iter().map(|same| ((matches - usize::from(*same)) as f64 / 3.0).min(1.0));
    if people.is_empty() { 0.0 } else { left_out.sum::<f64>() / people.len() as f64 }
}

/// A-OKVQA's direct answers: min(1, people who said exactly this / 3).
pub fn direct_answer(answer: &str, people: &[String]) -> f64 {
    (people.iter().filter(|said| *said == answer).count() as f64 / 3.0).min(1.0)
}

/// The official normalisation: punctuation, then number words, articles and contractions.
pub fn normalize(text: &str) -> String {
    words(&without_punctuation(&text.replace(['\n', '\t'], " ")))
}

/// A mark goes where it touches a space, or where the text has a comma between digits; elsewhere it becomes a space. A period
/// stays before a digit only.
fn without_punctuation(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let thousands = characters.windows(3).any(|w| w[0].is_ascii_digit() && w[1] == ',' && w[2].is_ascii_digit());
    let mut kept = text.to_owned();
    for mark in PUNCTUATION.chars() {
        let touches = text.contains(&format!("{mark} ")) || text.contains(&format!(" {mark}"));
        kept = kept.replace(mark, if touches || thousands { "" } else { " " });
    }
    let mut next = kept.chars().skip(1);
    let before_digit = kept.chars().map(|_| next.next().is_some_and(|c| c.is_ascii_digit())).collect::<Vec<_>>();
    kept.chars().zip(before_digit).filter(|(c, before_digit)| *c != '.' || *before_digit).map(|(c, _)| c).collect()
}

fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept = lower.split_whitespace().map(number).filter(|word| !["a", "an", "the"].contains(&word.as_str()));
    kept.map(contracted).collect::<Vec<_>>().join(" ")
}

fn number(word: &str) -> String {
    match NUMBERS.iter().position(|number| *number == word) {
        Some(number) => number.to_string(),
        None if word == "none" => "0".into(),
        None => word.into(),
    }
}

fn contracted(word: String) -> String {
    let bare = |text: &str| text.replace('\'', "");
    let single = || CONTRACTIONS.split_whitespace().find(|form| bare(form) == word);
    let double = || DOUBLE.split_whitespace().find(|form| one_missing(form, &word));
    match single().or_else(double) {
        Some(form) => form.into(),
        None if word == REVERSED.0 => REVERSED.1.into(),
        None => word,
    }
}

/// Whether a word is a form without exactly one of its apostrophes.
fn one_missing(form: &str, word: &str) -> bool {
    let apostrophes = form.match_indices('\'');
    form.len() == word.len() + 1 && apostrophes.into_iter().any(|(at, _)| word == format!("{}{}", &form[..at], &form[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(answers: &[(&str, usize)]) -> Vec<String> {
        answers.iter().flat_map(|(answer, count)| std::iter::repeat_n(answer.to_string(), *count)).collect()
    }

    #[test]
    fn one_two_three_and_four_of_ten() {
        for (count, expect) in [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)] {
            let said = people(&[("yes", count), ("no", 10 - count)]);
            assert!((soft_accuracy("Yes.", &said) - expect).abs() < 1e-12, "{count}");
        }
    }

    #[test]
    fn unanimous_answers_are_compared_as_they_are() {
        assert_eq!(soft_accuracy("The Dog", &people(&[("dog", 10)])), 0.0);
        assert_eq!(soft_accuracy("DOG", &people(&[("dog", 10)])), 1.0);
        assert_eq!(soft_accuracy("The Dog", &people(&[("dog", 9), ("cat", 1)])), 1.0);
    }

    #[test]
    fn direct_answers_are_not_normalised() {
        let said = people(&[("surf", 2), ("Surf", 8)]);
        assert!((direct_answer("surf", &said) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(direct_answer("Surf", &said), 1.0);
    }

    #[test]
    fn texts_are_normalised() {
        for (text, expect) in [
            ("The dont, none!", "don't 0"),
            ("1,000 (people)", "1000 people"),
            ("3.5 ft.", "3.5 ft"),
            ("black/white", "black white"),
            ("x-b c", "x b c"),
            ("A  shouldnt've\ttwo", "shouldn't've 2"),
        ] {
            assert_eq!(normalize(text), expect, "{text}");
        }
    }
}
