//! How the work on some sequences of a batch is spread over threads.
//!
//! A batch of many sequences keeps all threads busy by itself, a part each. A batch of few, one long sequence above all, does not: its
//! parts are then worked on by several threads. Rows of products by panels, of norms and of attention's queries do not depend on the rows
//! beside them, so they are cut by the threads that there are; what does depend on the cut is cut only where a part is the whole batch,
//! and always alike. So no number depends on the thread count.

/// The threads that a part of a batch may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    /// Those that no other part takes.
    threads: usize,
    /// Whether the part is the whole batch, on however many threads.
    alone: bool,
}

/// The least rows of a product by panels that are worth a thread's packing of the weight.
const LEAST_ROWS: usize = 48;
/// Pieces that keep many threads busy evenly, and the least steps that are worth one.
const PIECES: usize = 16;
const LEAST_STEPS: usize = 4;
/// Rows of a product at a time where its bits may depend on the cut; fixed, so that no number depends on the thread count.
pub const ROWS: usize = 256;

impl Spread {
    /// One thread.
    pub(super) const NONE: Self = Self { threads: 1, alone: false };

    /// Of each of so many parts.
    pub(super) fn of(parts: usize) -> Self {
        Self { threads: (rayon::current_num_threads() / parts.max(1)).max(1), alone: parts == 1 }
    }

    /// Whether there is anybody to share with.
    pub(super) fn is_shared(self) -> bool {
        self.threads > 1
    }

    /// Into how many pieces work of so many steps is cut of which each of so many groups has as much: fixed, since sums depend on it.
    pub(super) fn pieces(self, steps: usize, groups: usize) -> usize {
        match self.alone {
            true => (steps / LEAST_STEPS).clamp(1, PIECES.div_ceil(groups.max(1))),
            false => 1,
        }
    }

    /// How many rows of a product a thread takes.
    pub(super) fn rows(self, rows: usize, depend_on_the_cut: bool) -> usize {
        match depend_on_the_cut {
            true if self.alone => ROWS,
            true => rows,
            false => rows.div_ceil(self.threads).max(LEAST_ROWS),
        }
    }
}
