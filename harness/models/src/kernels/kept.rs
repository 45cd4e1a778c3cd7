//! What a part of a batch asks for on its way through a decoder's blocks, and what it keeps for the way back.

use std::borrow::Cow;
use std::sync::Mutex;

use super::real::Real;
use super::scene::{Lot, lots};

/// What one block keeps of one part; queries and keys as attention sees them.
pub(super) struct Kept<T> {
    pub(super) x: Vec<T>,
    pub(super) q: Vec<T>,
    pub(super) k: Vec<T>,
    pub(super) v: Vec<T>,
    pub(super) attended: Vec<T>,
    pub(super) x2: Vec<T>,
    pub(super) gate: Vec<T>,
    pub(super) up: Vec<T>,
    /// What enters a pair behind the FFN; nothing without one.
    pub(super) before_pair: Vec<T>,
}

/// What is left of a block for the backward pass.
pub(super) enum Left<T> {
    Everything(Kept<T>),
    /// What entered it.
    Input(Vec<T>),
}

/// What the blocks kept of one part, until the thread that goes back through it takes it.
pub(super) type Parcel<T> = Mutex<Option<Vec<Left<T>>>>;

/// Some places of every sequence, as attention asks from them.
pub(super) struct Queries<'a, T: Clone> {
    /// Places of a sequence.
    pub(super) n: usize,
    /// Added to the scores, `[sequences, n, t]`.
    pub(super) mask: Cow<'a, [T]>,
    /// Rotary tables, `[sequences, n, hd]` each.
    pub(super) turns: [Cow<'a, [T]>; 2],
    /// What each sequence's queries may see.
    pub(super) lots: Vec<Vec<Lot>>,
}

impl<'a, T: Real> Queries<'a, T> {
    pub(super) fn new(mask: Cow<'a, [T]>, turns: [Cow<'a, [T]>; 2], (n, t): (usize, usize)) -> Self {
        let lots = mask.chunks_exact((n * t).max(1)).map(|mask| lots(Some(mask), (n, t))).collect();
        Self { n, mask, turns, lots }
    }

    pub(super) fn turns(&self) -> (&[T], &[T]) {
        (&self.turns[0], &self.turns[1])
    }
}
