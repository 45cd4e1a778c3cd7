//! Differential privacy of whole clients (McMahan et al., arXiv 1710.06963): what a client has learnt in a round is clipped to a
//! length C, and Gaussian noise is laid over it.
//!
//! *Local*: each client adds noise of standard deviation z C to its own update, so nobody need be trusted. Any two updates lie at
//! most 2 C apart, whatever the client holds. *Central*: a trusted server adds noise whose sum over the round's m updates has the
//! standard deviation z C (each gets z C / sqrt(m)), and uses nothing but their unweighted mean. Leaving a client out moves the sum
//! by at most C. Either way the number of a client's examples stays secret: every update counts as one example.
//!
//! A client's rounds compose exactly: T Gaussian mechanisms of sensitivity D and deviation s are one of `mu = sqrt(T) D / s` (Dong et
//! al., arXiv 1905.02383, corollary 3.3), for which `delta(epsilon) = Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon /
//! mu)` (Balle & Wang, arXiv 1805.06530, theorem 8). Nothing is claimed for the sampling of cohorts.
//!
//! The noise comes from the run's seed, so that the run can be repeated: this measures what privacy costs and protects nobody.

use candle_core::{DType, Tensor};
use models::adapter::Adapters;
use schema::experiment::{PrivacyConfig, PrivacyMode};
use seed::Stream;

use crate::{ADAPTERS, Result, Sets, Update};

/// A client's update as it leaves the client, and whether it had to be clipped. What has been learnt is the difference to the adapters
/// that were received in the same shape, or else the whole: of other sets (a Fisher, a change of a control variate) all is learnt, whatever
/// came down under their name.
pub fn leaves(config: &PrivacyConfig, update: Update, received: &Sets, stream: &mut Stream) -> Result<(Update, bool)> {
    let length = length(&update.sets, received)?;
    let factor = if length > config.clip { config.clip / length } else { 1.0 };
    let noise = match config.mode {
        PrivacyMode::Local => config.noise_multiplier * config.clip,
        PrivacyMode::Central => 0.0,
    };
    let sets = each(&update.sets, received, |learnt| blurred(&(learnt * factor)?, noise, stream))?;
    Ok((Update { sets, num_examples: 1, ..update }, factor < 1.0))
}

/// An update as a trusted server sees it beside the others of its round.
pub fn arrives(config: &PrivacyConfig, update: Update, updates: usize, stream: &mut Stream) -> Result<Update> {
    if config.mode == PrivacyMode::Local {
        return Ok(update);
    }
    let noise = config.noise_multiplier * config.clip / (updates.max(1) as f64).sqrt();
    let sets = each(&update.sets, &Sets::default(), |all| blurred(all, noise, stream))?;
    Ok(Update { sets, ..update })
}

/// The smallest epsilon that holds at the config's delta for a client that took part in `rounds` rounds; infinite without noise.
pub fn epsilon(config: &PrivacyConfig, rounds: usize) -> f64 {
    let sensitivity = match config.mode {
        PrivacyMode::Local => 2.0,
        PrivacyMode::Central => 1.0,
    };
    let mu = (rounds as f64).sqrt() * sensitivity / config.noise_multiplier;
    if mu == 0.0 {
        return 0.0;
    }
    if !mu.is_finite() {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while delta(mu, high) > config.delta {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if delta(mu, middle) > config.delta { low = middle } else { high = middle }
    }
    high
}

/// The smallest delta at which a Gaussian mechanism of this mu is (epsilon, delta)-private.
fn delta(mu: f64, epsilon: f64) -> f64 {
    let tail = normal_cdf(-mu / 2.0 - epsilon / mu);
    // Where the tail is nothing, so is its product with however large a number.
    let weighted = if tail == 0.0 { 0.0 } else { (epsilon + tail.ln()).exp() };
    normal_cdf(mu / 2.0 - epsilon / mu) - weighted
}

fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

/// The Euclidean length of all that has been learnt.
fn length(sets: &Sets, received: &Sets) -> Result<f64> {
    let mut squares = 0.0;
    for (name, set) in sets.iter() {
        for (tensor_name, tensor) in set.iter() {
            let learnt = match base(received, name, tensor_name, tensor) {
                Some(base) => (tensor - base)?,
                None => tensor.clone(),
            };
            squares += learnt.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
    }
    Ok(squares.sqrt())
}

/// `f` of what each tensor adds to what was received, put back upon that.
fn each(sets: &Sets, received: &Sets, mut f: impl FnMut(&Tensor) -> candle_core::Result<Tensor>) -> Result<Sets> {
    let mut changed = Sets::default();
    for (name, set) in sets.iter() {
        let mut tensors = Adapters::default();
        for (tensor_name, tensor) in set.iter() {
            let new = match base(received, name, tensor_name, tensor) {
                Some(base) => (base + f(&(tensor - base)?)?)?,
                None => f(tensor)?,
            };
            tensors.insert(tensor_name.clone(), new);
        }
        changed = changed.with(name, tensors);
    }
    Ok(changed)
}

fn base<'a>(received: &'a Sets, set: &str, name: &str, like: &Tensor) -> Option<&'a Tensor> {
    received.get(set).ok().filter(|_| set == ADAPTERS)?.get(name).filter(|base| base.shape() == like.shape())
}

fn blurred(x: &Tensor, deviation: f64, stream: &mut Stream) -> candle_core::Result<Tensor> {
    if deviation == 0.0 {
        return Ok(x.clone());
    }
    let noise: Vec<f64> = (0..x.elem_count()).map(|_| deviation * stream.normal()).collect();
    x + Tensor::from_vec(noise, x.shape(), &candle_core::Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())?
}
