//! The gate on small run folders: what fails it, what does not, and what it refuses to compare.

use tempfile::TempDir;

use super::*;
use crate::fixture::Fixture;

const RULE: Rule = Rule { margin: 0.01, loss_margin: 0.1, alpha: 0.05, allow_dirty: false, strict: false };

/// Runs in a folder, which the gate reads again.
struct Runs {
    _folder: TempDir,
    report: Report,
}

impl std::ops::Deref for Runs {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.report
    }
}

/// A folder of runs: one for each seed, of `n` examples; `right(seed, example)` says which were answered right.
fn runs(n: u32, seeds: &[u64], change: impl Fn(&mut Fixture), right: impl Fn(u64, u32) -> bool) -> Runs {
    let folder = TempDir::new().expect("a folder");
    for &seed in seeds {
        let correct: Vec<bool> = (0..n).map(|example| right(seed, example)).collect();
        let accuracy = correct.iter().filter(|right| **right).count() as f64 / f64::from(n);
        let mut fixture = Fixture::new("icongen", "fednano", seed, accuracy);
        fixture.correct = correct;
        fixture.scoring = vec!["option-likelihood"; n as usize];
        fixture.test_examples = n;
        change(&mut fixture);
        fixture.write(folder.path());
    }
    let report = Report::read(&[folder.path().into()]).expect("readable runs");
    Runs { _folder: folder, report }
}

/// Whether example `i` of seed `s` comes out right, with this probability: a hash, so no generator is needed.
fn coin(s: u64, i: u32, probability: f64) -> bool {
    let mut x = s.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(i).wrapping_mul(0xD1B5_4A32_D192_ED03);
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    ((x >> 11) as f64 / (1u64 << 53) as f64) < probability
}

fn one(gate: &Gate) -> &Check {
    assert!(gate.errors.is_empty(), "{:?}", gate.errors);
    &gate.checks[0]
}

#[test]
fn the_same_runs_pass_whatever_the_seeds() {
    let baseline = runs(400, &[1, 2, 3], |_| {}, |seed, i| coin(seed, i, 0.6));
    assert!(Gate::new(&baseline, &baseline, RULE).passes());
    for first in 0..50u64 {
        let others = [100 + 3 * first, 101 + 3 * first, 102 + 3 * first];
        let again = runs(400, &others, |_| {}, |seed, i| coin(seed, i, 0.6));
        let gate = Gate::new(&baseline, &again, RULE);
        assert!(gate.passes(), "{}", gate.text());
    }
}

#[test]
fn a_large_fall_fails_and_a_rise_does_not() {
    let baseline = runs(400, &[1, 2, 3], |_| {}, |seed, i| coin(seed, i, 0.6));
    let fallen = runs(400, &[4, 5, 6], |_| {}, |seed, i| coin(seed, i, 0.45));
    let gate = Gate::new(&baseline, &fallen, RULE);
    assert_eq!((gate.passes(), one(&gate).verdict), (false, Verdict::Regressed), "{}", gate.text());
    assert!(Gate::new(&fallen, &baseline, RULE).passes());
    assert!(gate.github().starts_with("::error title=fedbench gate::fednano on icongen"), "{}", gate.github());
    assert!(gate.junit().contains("failures=\"1\"") && gate.json().contains("\"verdict\": \"regressed\""));
}

/// One answer of a hundred turned wrong, the same with every seed: seen over 2000 rows, not over 100.
#[test]
fn a_point_is_seen_with_enough_rows_and_otherwise_said_not_to_be() {
    let rule = Rule { margin: 0.005, ..RULE };
    for (rows, wanted) in [(2000, Verdict::Regressed), (100, Verdict::TooFew)] {
        let right = |i: u32| i % 10 < 6;
        let baseline = runs(rows, &[1, 2, 3], |_| {}, |_, i| right(i));
        let planted = runs(rows, &[1, 2, 3], |_| {}, |_, i| right(i) && i % 100 != 0);
        let gate = Gate::new(&baseline, &planted, rule);
        assert_eq!(one(&gate).verdict, wanted, "{}", gate.text());
        assert_eq!(gate.sentence().contains("too few rows or seeds"), wanted == Verdict::TooFew);
        // Who wants to know rather than to go on is not told that all is well.
        let strict = Gate::new(&baseline, &planted, Rule { strict: true, ..rule });
        assert_eq!((gate.passes(), strict.passes()), (wanted == Verdict::TooFew, false));
        assert!(strict.sentence().starts_with("The gate is shut"), "{}", strict.sentence());
    }
}

/// The same answers, given with less confidence: accuracy cannot see it.
#[test]
fn a_rise_of_the_loss_fails_though_every_answer_is_the_same() {
    let likely =
        |sure: f64| move |run: &mut Fixture| run.likely = Some((0..400).map(|i| sure - 0.1 * f64::from(i % 2)).collect());
    let right = |_, i| i % 10 < 6;
    let [sure, less, unsure] = [0.9, 0.85, 0.7].map(|sure| runs(400, &[1, 2, 3], likely(sure), right));
    let gate = Gate::new(&sure, &unsure, RULE);
    let verdicts: Vec<_> = gate.checks.iter().map(|check| (check.quantity, check.verdict)).collect();
    assert_eq!(verdicts, [(Quantity::Accuracy, Verdict::Passes), (Quantity::Loss, Verdict::Regressed)], "{}", gate.text());
    let loss = |sure: f64| -(sure.ln() + (sure - 0.1).ln()) / 2.0;
    assert!((gate.checks[1].baseline - loss(0.9)).abs() < 1e-12 && (gate.checks[1].found - loss(0.7)).abs() < 1e-12);
    assert!(gate.github().contains("log-loss (nats) 0.434 against 0.164, +0.") && gate.junit().contains("fednano, log-loss"));
    // Less than the margin, and less loss, pass.
    assert!(Gate::new(&sure, &less, RULE).passes() && Gate::new(&unsure, &sure, RULE).passes());
}

/// A baseline that does not tell the right option is compared by accuracy alone; runs that should tell it and do not are refused.
#[test]
fn losses_that_are_missing() {
    let right = |seed, i| coin(seed, i, 0.6);
    let told = runs(40, &[1, 2], |run| run.likely = Some(vec![0.8; 40]), right);
    let untold = runs(40, &[1, 2], |_| {}, right);
    assert_eq!((Gate::new(&untold, &told, RULE).checks.len(), Gate::new(&told, &told, RULE).checks.len()), (1, 2));
    let gate = Gate::new(&told, &untold, RULE);
    assert!(!gate.passes() && gate.errors[0].contains("which option is the right one"), "{:?}", gate.errors);
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let right = |seed, i| coin(seed, i, 0.6);
    let baseline = runs(40, &[1, 2], |_| {}, right);
    let refused = |other: Runs, why: &str| {
        let gate = Gate::new(&baseline, &other, RULE);
        assert!(!gate.passes() && gate.errors.iter().any(|error| error.contains(why)), "{why}: {:?}", gate.errors);
        assert!(gate.text().contains("error: ") && gate.junit().contains("<error ") && gate.github().contains("::error"));
    };
    refused(runs(40, &[1, 2], |run| run.method = "fedprox", right), "missing from the runs");
    refused(runs(40, &[1, 2], |run| run.rounds = 7, right), "only with other keys");
    refused(runs(40, &[1, 2], |run| run.dirty = true, right), "uncommitted changes");
    refused(runs(40, &[1, 2], |run| run.test_examples = 41, right), "41 test examples");
    refused(runs(40, &[1, 2], |run| run.card = "other", right), "card");
    refused(runs(39, &[1, 2], |run| run.test_examples = 40, right), "1 of the baseline's 40 test examples");
    let dirty = runs(40, &[1, 2], |run| run.dirty = true, right);
    assert!(Gate::new(&baseline, &dirty, Rule { allow_dirty: true, ..RULE }).passes());
}

#[test]
fn names_cannot_break_out_of_a_format() {
    let hostile = |fixture: &mut Fixture| fixture.method = "<b>\"|&\n::error::x";
    let baseline = runs(40, &[1], hostile, |_, _| true);
    let gate = Gate::new(&baseline, &runs(40, &[1], hostile, |_, _| false), RULE);
    assert!(!gate.passes());
    assert!(!gate.junit().contains("<b>") && gate.github().lines().count() == 1);
}

/// A refusal names key, values and file; a baseline of an older version, which does not say what it read, is compared as far as it says,
/// and that is said.
#[test]
fn what_was_read_must_be_the_same() {
    let right = |seed, i| coin(seed, i, 0.6);
    let of = |rows, backbone| runs(40, &[1, 2], move |run| run.inputs = Some([rows, backbone]), right);
    let baseline = of("aaaa", "bbbb");
    let same = Gate::new(&baseline, &of("aaaa", "bbbb"), RULE);
    assert!(same.passes() && same.notices.is_empty(), "{}", same.text());
    for (other, why) in [
        (of("cccc", "bbbb"), "data.sha256.test (aaaa, here cccc: test.parquet differs)"),
        (of("aaaa", "dddd"), "backbone.sha256 (bbbb, here dddd: tokenizer.json differs)"),
    ] {
        let gate = Gate::new(&baseline, &other, RULE);
        assert!(!gate.passes() && gate.errors.len() == 1 && gate.errors[0].contains(why), "{why}: {:?}", gate.errors);
    }
    let older = runs(40, &[1, 2], |_| {}, right);
    for (a, b, who) in [(&older, &baseline, "the baseline is"), (&baseline, &older, "the runs are")] {
        let gate = Gate::new(a, b, RULE);
        assert!(gate.passes() && !gate.checks.is_empty(), "{}", gate.text());
        assert!(gate.notices[0].contains(who) && gate.text().contains("notice: ") && gate.github().contains("::notice"));
    }
    let rounds = runs(40, &[1, 2], |run| run.rounds = 7, right);
    let gate = Gate::new(&rounds, &baseline, RULE);
    assert!(gate.errors[0].contains("federation.rounds (7, here 2)"), "{:?}", gate.errors);
    let card = runs(40, &[1, 2], |run| run.card = "other", right);
    let gate = Gate::new(&card, &baseline, RULE);
    assert!(gate.errors[0].contains("card.sha256 ("), "{:?}", gate.errors);
}

/// Where both sides say by what they multiplied, and it is not the same; the gate stays open.
#[test]
fn different_kernels_are_a_notice() {
    let by = |kernel: Option<&'static str>| runs(100, &[1, 2], |run| run.kernel = kernel, |seed, i| coin(seed, i, 0.6));
    let (pairs, widened) = (by(Some("avx512-bf16")), by(Some("avx512, widened")));
    let gate = Gate::new(&pairs, &widened, RULE);
    let wanted = "different kernels multiplied on icongen, so last digits may differ for that alone: bf16 weights (avx512, widened; \
                  avx512-bf16)";
    assert!(gate.passes() && gate.notices == [wanted], "{:?}", gate.notices);
    assert!(
        gate.text().contains("\nnotice: different kernels") && gate.github().contains("::notice title=fedbench gate::different")
    );
    for quiet in [Gate::new(&pairs, &pairs, RULE), Gate::new(&by(None), &widened, RULE)] {
        assert!(quiet.passes() && quiet.notices.is_empty(), "{:?}", quiet.notices);
    }
    let lost = runs(90, &[1, 2], |run| run.kernel = Some("avx512, widened"), |_, _| true);
    let refused = Gate::new(&pairs, &lost, RULE);
    assert!(!refused.passes() && refused.notices.is_empty(), "what is not compared is not warned of");
}
