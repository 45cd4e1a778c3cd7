//! Counts and numbers that a config may ask for at most.

/// Rounds: a record has a row for each client and round.
pub const ROUNDS: usize = 1_000_000;
/// Passes over a shard in a round.
pub const EPOCHS: usize = 1_000_000;
/// Optimizer steps of a client in a round: its batches are listed before it begins.
pub const STEPS: usize = 1_000_000;
/// Steps in a round of whoever holds all shards.
pub const POOLED_STEPS: usize = 10_000_000;
/// Examples in a batch.
pub const BATCH: usize = 65_536;
/// Clients.
pub const CLIENTS: usize = 100_000;
/// Examples that a limit may name.
pub const EXAMPLES: usize = 1_000_000_000;
/// Tokens of a generated answer.
pub const NEW_TOKENS: usize = 4096;
/// Rates, strengths and scales: beyond this, f32 has no digits left for what they are multiplied with.
pub const LARGEST: f64 = 1e6;
/// The least noise that is any, over the clipping length: below, an epsilon is a number without meaning, and then an infinite one.
pub const LEAST_NOISE: f64 = 1e-6;
/// What keeps a denominator from zero must not itself be zero in f32.
pub const SMALLEST: f64 = 1e-30;

/// The least scale, length or share that does anything in f32 beside numbers around 1.
pub const LEAST: f64 = 1e-6;
