//! Simulated studies, many of them: do the tests err as often as they say, and see what they say they see?
//!
//! A study asks one set of examples with every seed. A pair of answers differs in some share of the examples; how an example falls is
//! the same in every seed for half of them, and each seed adds a shift of its own.

use seed::{Seed, Stream};

use crate::paired::{LEVEL, Paired, chance, correct};

const EXAMPLES: usize = 200;
/// The share of examples on which the two answers differ, the share of examples that fall alike in every seed, and the standard
/// deviation of a seed's shift.
const DIFFERENT: f64 = 0.3;
const ALIKE: f64 = 0.5;
const SHIFT: f64 = 0.015;

/// What is seen of a true difference.
fn comparison(truth: f64, seeds: usize, stream: &mut Stream) -> Paired {
    let shifts: Vec<f64> = (0..seeds).map(|_| truth + SHIFT * stream.normal()).collect();
    let example = |_| {
        let (shared, fixed) = (stream.uniform(), stream.uniform() < ALIKE);
        let of_seed = |shift: &f64| {
            let at = if fixed { shared } else { stream.uniform() };
            let (better, worse) = ((DIFFERENT + shift) / 2.0, (DIFFERENT - shift) / 2.0);
            f64::from(u8::from(at < better)) - f64::from(u8::from(at > 1.0 - worse))
        };
        shifts.iter().map(of_seed).collect::<Vec<f64>>()
    };
    let differences: Vec<Vec<f64>> = (0..EXAMPLES).map(example).collect();
    Paired::tested(chance(&differences))
}

/// How many of so many studies, each of one comparison with this true difference and of others with none, find the first one; how many
/// find any; and the mean of what the first says it would find.
fn studies(truth: f64, seeds: usize, comparisons: usize, count: usize, name: &str) -> (f64, f64, f64) {
    let mut stream = Seed::new(1).stream(name);
    let (mut found, mut any, mut least) = (0, 0, 0.0);
    for _ in 0..count {
        let truths = std::iter::once(truth).chain(std::iter::repeat(0.0)).take(comparisons);
        let mut study: Vec<Paired> = truths.map(|truth| comparison(truth, seeds, &mut stream)).collect();
        correct(&mut study.iter_mut().collect::<Vec<_>>());
        let rejected = |paired: &Paired| paired.p_holm.is_some_and(|p| p < LEVEL);
        found += usize::from(rejected(&study[0]));
        any += usize::from(study.iter().any(rejected));
        least += study[0].detectable.expect("a test");
    }
    let share = |counted: usize| counted as f64 / count as f64;
    (share(found), share(any), least / count as f64)
}

/// Of 2,000 studies in which nothing differs, at most one in twenty finds something: with one comparison, and with seven corrected ones.
/// At 5%, 2,000 studies scatter by 0.5%.
#[test]
fn where_nothing_differs_one_study_in_twenty_finds_something_at_most() {
    for seeds in [3, 5] {
        for comparisons in [1, 7] {
            let (_, any, _) = studies(0.0, seeds, comparisons, 2000, &format!("null {seeds} {comparisons}"));
            assert!((0.002..0.06).contains(&any), "{seeds} seeds, {comparisons} comparisons: {any}");
        }
    }
}

/// The difference that is found four times of five lies within 20% of what studies say on average.
#[test]
fn what_is_said_to_be_detectable_is_found_four_times_of_five() {
    for seeds in [3, 5] {
        for comparisons in [1, 7] {
            let power = |truth: f64| studies(truth, seeds, comparisons, 400, &format!("power {seeds} {comparisons}"));
            // At a difference of its own size, since the others' p-values move the level.
            let (_, _, guess) = power(0.08);
            let (_, _, said) = power(guess);
            let [less, more] = [0.8, 1.2].map(|factor| power(factor * said).0);
            assert!(less < 0.8 && more > 0.8, "{seeds} seeds, {comparisons} comparisons: {said}: {less} {more}");
        }
    }
}
