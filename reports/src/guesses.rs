//! What answering without looking reaches, by the rows of a run's predictions: chance, and the answer that is right most often.

use std::collections::BTreeMap;

/// Bounds of what a run's summary may say of answering without looking; exact where both ends meet. Nothing is known of no rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trivial {
    /// The least and the most that a uniform guess among the options may reach.
    pub chance: Option<(f64, f64)>,
    /// The same of always giving the most frequent option's position or answer.
    pub majority: Option<(f64, f64)>,
}

/// Counts over the rows of one answerer.
#[derive(Default)]
pub struct Guesses {
    /// Whose rows are counted: the first row's.
    of: Option<Option<u32>>,
    rows: u64,
    /// Rows that were generated, whose options are not in the file.
    generated: u64,
    /// Whether answers have soft scores, which are several people's.
    soft: bool,
    chance: f64,
    by_position: BTreeMap<u32, u64>,
    by_answer: BTreeMap<u64, u64>,
}

impl Guesses {
    /// Counts a row: whose it is, its number of options, the right one's position, a hash of the right answer, and whether it has a soft
    /// score.
    pub fn take(&mut self, client: Option<u32>, options: usize, position: Option<u32>, answer: u64, soft: bool) {
        if *self.of.get_or_insert(client) != client {
            return;
        }
        self.rows += 1;
        self.soft |= soft;
        match options {
            0 => self.generated += 1,
            count => self.chance += 1.0 / count as f64,
        }
        position.into_iter().for_each(|position| *self.by_position.entry(position).or_default() += 1);
        *self.by_answer.entry(answer).or_default() += 1;
    }

    /// What they say together.
    pub fn trivial(self) -> Trivial {
        if self.rows == 0 {
            return Trivial::default();
        }
        let share = |count: f64| count / self.rows as f64;
        let generated = self.generated as f64;
        let most = |known: Option<&u64>| known.copied().unwrap_or_default() as f64;
        let (position, answer) = (most(self.by_position.values().max()), most(self.by_answer.values().max()));
        let majority = (share(position.max(answer)), share((position + generated).max(answer)));
        Trivial {
            // Where a generated answer is one of some options, there are two at least.
            chance: Some((share(self.chance), share(self.chance + generated / 2.0))),
            majority: (!self.soft).then_some(majority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranked_rows_say_exactly_what_guessing_reaches() {
        let mut guesses = Guesses::default();
        for (options, position, answer) in [(2, 0, 7), (4, 1, 8), (4, 1, 7), (2, 1, 9)] {
            guesses.take(None, options, Some(position), answer, false);
            guesses.take(Some(3), 9, Some(0), 1, false);
        }
        assert_eq!(guesses.trivial(), Trivial { chance: Some((0.375, 0.375)), majority: Some((0.75, 0.75)) });
    }

    #[test]
    fn generated_rows_leave_a_range_and_people_say_nothing_of_the_majority() {
        let mut guesses = Guesses::default();
        guesses.take(None, 2, Some(1), 7, false);
        guesses.take(None, 0, None, 7, false);
        let trivial = Trivial { chance: Some((0.25, 0.5)), majority: Some((1.0, 1.0)) };
        assert_eq!(guesses.trivial(), trivial);
        let mut guesses = Guesses::default();
        guesses.take(None, 0, None, 7, true);
        assert_eq!(guesses.trivial().majority, None);
        assert_eq!(Guesses::default().trivial(), Trivial::default());
    }
}
