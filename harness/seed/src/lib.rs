//! Seeded random streams, derived by name.
//!
//! Every random draw of the suite comes from a [`Stream`] that a [`Seed`] derives from a *name* (and, where it applies, a round
//! and a client id). A new draw in one place therefore shifts no other, and two machines draw the same numbers: the generator is
//! our own (xoshiro256++ of Blackman & Vigna, <https://prng.di.unimi.it>), so no upgrade of a library changes a result.
//! candle's CPU device cannot be seeded: nothing is drawn from it.
//!
//! The names of a run's streams: `train-limit`, `adapters`, `fresh adapters`, `partition`, `partition-test`, `cohort`, `dropout`,
//! `stragglers`, `batches`, `fisher`, `privacy`.
//!
//! ```
//! let seed = seed::Seed::new(7);
//! let mut a = seed.stream("partition");
//! let mut b = seed.stream("partition");
//! assert_eq!(a.next_u64(), b.next_u64());
//! assert_ne!(a.next_u64(), seed.stream("cohort").next_u64());
//! ```

/// The root of all randomness of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed a user typed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream for a purpose that happens once in a run, such as `"partition"`.
    pub fn stream(&self, name: &str) -> Stream {
        self.derive(name, &[])
    }

    /// The stream for a purpose of one round, such as `"cohort"`.
    pub fn round(&self, name: &str, round: usize) -> Stream {
        self.derive(name, &[round as u64])
    }

    /// The stream for a purpose of one client in one round, such as `"batches"`.
    pub fn client(&self, name: &str, round: usize, client: usize) -> Stream {
        self.derive(name, &[round as u64, client as u64])
    }

    /// The stream for the `index`-th of many like things, such as the rows of a generated dataset.
    pub fn index(&self, name: &str, index: usize) -> Stream {
        self.derive(name, &[index as u64])
    }

    fn derive(&self, name: &str, path: &[u64]) -> Stream {
        let mut state = splitmix(self.0);
        for byte in name.bytes() {
            state = splitmix(state ^ u64::from(byte));
        }
        for &step in path {
            state = splitmix(state ^ step.wrapping_add(0x1_0000));
        }
        Stream::from_state(state)
    }
}

/// One output of SplitMix64 from state `x`: a bijective mixer.
fn splitmix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers (xoshiro256++).
#[derive(Debug, Clone)]
pub struct Stream {
    state: [u64; 4],
}

impl Stream {
    fn from_state(start: u64) -> Self {
        let mut x = start;
        let state = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            splitmix(x)
        });
        Self { state }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..n, without bias. `n` is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "below(0): nothing to draw from");
        let n = n as u64;
        let reject_under = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(n);
            if wide as u64 >= reject_under {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Uniform in low..=high.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal (Box-Muller, one value per two draws).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma(shape, 1) by Marsaglia and Tsang (2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v <= 0.0 {
                continue;
            }
            let u = 1.0 - self.uniform();
            if u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// A point of the simplex, Dirichlet(alpha, ..., alpha) with `n` parts.
    pub fn dirichlet(&mut self, alpha: f64, n: usize) -> Vec<f64> {
        let parts: Vec<f64> = (0..n).map(|_| self.gamma(alpha)).collect();
        let total: f64 = parts.iter().sum();
        if total > 0.0 {
            return parts.into_iter().map(|part| part / total).collect();
        }
        // Every gamma underflowed, which happens for tiny alpha: the limit is a corner of the simplex.
        let corner = self.below(n);
        (0..n).map(|i| f64::from(u8::from(i == corner))).collect()
    }

    /// Shuffles in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// One of the items, which are at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// `count` different indices of 0..n, in random order.
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values, from an independent implementation in Python: a change here changes every result ever published with this
    /// suite.
    #[test]
    fn streams_are_pinned() {
        for (mut stream, wanted) in [
            (Seed::new(0).stream("partition"), [0x2d7e_6ad9_72fa_a973, 0xd71b_3e97_eb9f_e45a]),
            (Seed::new(1).client("batches", 1, 2), [0x8fba_b31d_a8f7_1791, 0x9cab_6f70_2595_3da4]),
            (Seed::new(7).round("cohort", 3), [0x7242_6edb_9ab6_5cdc, 0x81c6_bc44_22af_8a53]),
        ] {
            assert_eq!([stream.next_u64(), stream.next_u64()], wanted);
        }
    }

    #[test]
    fn names_rounds_and_clients_separate_streams() {
        let seed = Seed::new(3);
        let mut firsts = vec![
            seed.stream("a").next_u64(),
            seed.stream("b").next_u64(),
            seed.round("a", 0).next_u64(),
            seed.round("a", 1).next_u64(),
            seed.client("a", 0, 1).next_u64(),
            seed.client("a", 1, 0).next_u64(),
        ];
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 6);
    }

    #[test]
    fn moments_are_right() {
        let mut stream = Seed::new(1).stream("moments");
        let n = 20_000;
        let mean = |xs: &[f64]| xs.iter().sum::<f64>() / xs.len() as f64;
        let normal: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let gamma: Vec<f64> = (0..n).map(|_| stream.gamma(0.5)).collect();
        let squares: Vec<f64> = normal.iter().map(|x| x * x).collect();
        assert!(mean(&normal).abs() < 0.03);
        assert!((mean(&squares) - 1.0).abs() < 0.05);
        assert!((mean(&gamma) - 0.5).abs() < 0.03);
    }

    #[test]
    fn dirichlet_is_on_the_simplex_even_for_tiny_alpha() {
        let mut stream = Seed::new(1).stream("simplex");
        for alpha in [1e-6, 0.1, 1.0, 1000.0] {
            let point = stream.dirichlet(alpha, 5);
            assert!((point.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{alpha}: {point:?}");
        }
    }
}
