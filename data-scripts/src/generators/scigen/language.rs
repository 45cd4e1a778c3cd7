//! Questions about words alone, over made-up words, so that nothing but the spelling can be learned.

use seed::Stream;

use crate::generators::item::{Item, say};

const ONSETS: &[&str] = &[
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "bl", "cr", "dr", "pl", "st", "tr",
];
const RIMES: &[&str] = &["at", "en", "ig", "op", "ug", "ail", "eep", "ime", "ock", "unt", "arn", "est", "ill", "oon", "amp"];

fn text(question: String, answer: String, others: Vec<String>) -> Item {
    Item { hint: String::new(), question, answer, others, page: None }
}

/// Which word comes first, or last, in a dictionary.
pub fn alphabetical(s: &mut Stream) -> Item {
    let onsets = s.sample(18, 4);
    let mut words: Vec<String> = onsets.into_iter().map(|onset| format!("{}{}", ONSETS[onset], s.pick(RIMES))).collect();
    words.sort();
    let first = s.chance(0.5);
    if !first {
        words.reverse();
    }
    let word = if first { "first" } else { "last" };
    let question = say(s, &["Which word comes {} in a dictionary?", "In the order of the alphabet, which word is {}?"], &[word]);
    let answer = words.remove(0);
    text(question, answer, words)
}

/// Which word rhymes.
pub fn rhymes(s: &mut Stream) -> Item {
    let (rimes, onsets) = (s.sample(RIMES.len(), 4), s.sample(ONSETS.len(), 5));
    let word = |onset: usize, rime: usize| format!("{}{}", ONSETS[onsets[onset]], RIMES[rimes[rime]]);
    let question = say(s, &["Which word rhymes with {}?", "Find the word that sounds like {} at its end."], &[&word(4, 0)]);
    text(question, word(0, 0), (1..4).map(|i| word(i, i)).collect())
}

/// Which word has the most letters.
pub fn word_length(s: &mut Stream) -> Item {
    let longest = s.chance(0.5);
    let mut syllables: Vec<String> = s.sample(10, 5).into_iter().map(|i| RIMES[i].to_owned()).collect();
    for syllable in &mut syllables {
        *syllable = format!("{}{syllable}", s.pick(&ONSETS[..18]));
    }
    let long = format!("{}{}", syllables[0], syllables[1]);
    let (answer, others) = if longest {
        (long, syllables[2..5].to_vec())
    } else {
        let pairs = (2..5).map(|i| format!("{}{}", syllables[i], syllables[(i + 1) % 5]));
        (syllables[0].clone(), pairs.collect())
    };
    let question = say(
        s,
        &["Which word is the {}?", "Count the letters. Which word is the {}?"],
        &[if longest { "longest" } else { "shortest" }],
    );
    text(question, answer, others)
}

/// Which bag is heavier, from the hint's numbers.
pub fn masses(s: &mut Stream) -> Item {
    let (numbers, heavier) = (s.sample(9, 2), s.chance(0.5));
    let mut names: Vec<&str> = s.sample(4, 2).into_iter().map(|i| ["bag P", "bag Q", "bag R", "bag S"][i]).collect();
    let hint = format!("The mass of {} is {} kg. The mass of {} is {} kg.", names[0], numbers[0] + 1, names[1], numbers[1] + 1);
    if (numbers[0] > numbers[1]) != heavier {
        names.swap(0, 1);
    }
    let question =
        say(s, &["Which bag is {}?", "Read the text. Which bag is {}?"], &[if heavier { "heavier" } else { "lighter" }]);
    text(question, names[0].to_owned(), vec![names[1].to_owned()]).with_hint(hint)
}
