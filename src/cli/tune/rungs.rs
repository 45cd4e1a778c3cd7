//! Successive halving (Jamieson & Talwalkar, arXiv 1502.07943): all settings for a few rounds with one seed, the better half on with
//! more of both, until one or two are left, which have all rounds and seeds.

/// One stage of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    /// How many settings are tried.
    pub(super) settings: usize,
    /// For so many rounds.
    pub(super) rounds: usize,
    /// With so many seeds.
    pub(super) seeds: usize,
}

/// An experiment's whole search, before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ladder {
    /// Its stages; the last has all rounds and seeds.
    pub(super) rungs: Vec<Rung>,
    /// So many settings more may be tried as the last stage's are, where the best lies at an edge.
    pub(super) beyond: usize,
}

/// Settings beyond an edge, at most.
const BEYOND: usize = 2;
/// Seeds of a search, where nobody says which.
const SEEDS: usize = 3;

impl Ladder {
    /// For so many settings, a study of so many rounds, and so many seeds.
    fn new(settings: usize, rounds: usize, seeds: usize, beyond: usize) -> Self {
        let mut sizes = vec![settings.max(1)];
        while let Some(size) = sizes.last().copied().filter(|size| *size > 2) {
            sizes.push(size.div_ceil(2));
        }
        let last = sizes.len() - 1;
        let rung = |(place, &settings): (usize, &usize)| Rung {
            settings,
            rounds: rounds.div_ceil(1usize.checked_shl((last - place) as u32).unwrap_or(usize::MAX)).max(1),
            seeds: (seeds * (place + 1)).div_ceil(last + 1),
        };
        Self { rungs: sizes.iter().enumerate().map(rung).collect(), beyond }
    }

    /// The largest that takes at most so many rounds over all runs: with these seeds, or else with three or fewer; with two settings
    /// beyond an edge, or fewer. None where even the smallest takes more.
    pub(super) fn within(settings: usize, rounds: usize, seeds: Option<usize>, most: usize) -> Option<Self> {
        let seeds = seeds.map_or((1..=SEEDS).rev().collect(), |seeds| vec![seeds]);
        let all = seeds.into_iter().flat_map(|seeds| (0..=BEYOND).rev().map(move |beyond| (seeds, beyond)));
        all.map(|(seeds, beyond)| Self::new(settings, rounds, seeds, beyond)).find(|ladder| ladder.rounds() <= most)
    }

    /// The last stage.
    pub(super) fn last(&self) -> Rung {
        self.rungs[self.rungs.len() - 1]
    }

    /// Rounds over all runs, at most.
    pub(super) fn rounds(&self) -> usize {
        let last = self.last();
        let of = |rung: &Rung| rung.settings.saturating_mul(rung.rounds).saturating_mul(rung.seeds);
        let stages = self.rungs.iter().map(of).fold(0, usize::saturating_add);
        stages.saturating_add(of(&Rung { settings: self.beyond, ..last }))
    }

    /// Runs, at most.
    pub(super) fn runs(&self) -> usize {
        self.rungs.iter().map(|rung| rung.settings * rung.seeds).sum::<usize>() + self.beyond * self.last().seeds
    }

    /// As a sentence has it.
    pub(super) fn words(&self) -> String {
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let stage = |rung: &Rung| {
            let Rung { settings, rounds, seeds } = *rung;
            format!("{} x {} x {}", plural(settings, "setting"), plural(seeds, "seed"), plural(rounds, "round"))
        };
        let stages = self.rungs.iter().map(stage).collect::<Vec<_>>().join(", then ");
        match self.beyond {
            0 => stages,
            beyond => format!("{stages}, and at an edge up to {beyond} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(settings: usize, seeds: usize, rounds: usize) -> Rung {
        Rung { settings, rounds, seeds }
    }

    #[test]
    fn half_go_on() {
        let ladder = Ladder::new(5, 10, 3, 2);
        assert_eq!(ladder.rungs, [rung(5, 1, 3), rung(3, 2, 5), rung(2, 3, 10)]);
        assert_eq!((ladder.rounds(), ladder.runs()), (15 + 30 + 60 + 60, 5 + 6 + 6 + 6));
        assert_eq!(Ladder::new(1, 4, 3, 0).rungs, [rung(1, 3, 4)]);
        assert_eq!(Ladder::new(2, 4, 3, 0).rungs, [rung(2, 3, 4)]);
        assert_eq!(Ladder::new(15, 5, 1, 0).rungs, [rung(15, 1, 1), rung(8, 1, 2), rung(4, 1, 3), rung(2, 1, 5)]);
    }

    #[test]
    fn a_search_takes_no_more_than_it_may() {
        for settings in 1..40 {
            for rounds in 1..12 {
                for study in 1..11 {
                    let most = 3 * study * rounds;
                    match Ladder::within(settings, rounds, None, most) {
                        Some(ladder) => {
                            assert!(ladder.rounds() <= most, "{ladder:?} of {most}");
                            assert_eq!(ladder.rungs[0].settings, settings);
                            assert_eq!(ladder.last().rounds, rounds, "the last stage is the study's own length");
                        }
                        None => assert!(Ladder::new(settings, rounds, 1, 0).rounds() > most),
                    }
                }
            }
        }
        // The shipped studies: five rates, five or ten seeds.
        let [five, ten] = [5, 10].map(|seeds| Ladder::within(5, 5, None, 3 * seeds * 5).expect("fits"));
        assert_eq!((five.last().seeds, five.beyond, ten.last().seeds, ten.beyond), (3, 1, 3, 2));
    }
}
