//! HetLoRA (Cho et al., arXiv 2401.06432): LoRA of unequal ranks. A client gets the first r_k dimensions of the global pair, may
//! prune itself, and its update, padded with zeros, counts by the norm of its product: `w_k = ||B_k A_k|| / sum_j ||B_j A_j||`.
//!
//! Self-pruning: the loss carries `lambda ||B[:, g r:]|| ||A[g r:, :]||` over the last dimensions; where that product shrank in the
//! round, the client goes on with rank `g r`. Details beyond the paper's abstract and figure are a reading, with keys.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use federation::aggregate::Mean;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Objective, Round, Sets, Update};
use federation::{Error, Result};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys;
use crate::pairs::{Pair, Sites, check_ranks, rank_of};

/// Averages of padded pairs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HetLora {
    /// The clients' ranks, in turn; all have `adapter.rank` without any.
    pub ranks: Vec<usize>,
    /// The share of its rank that a client keeps when it prunes itself.
    pub gamma: f64,
    /// The strength of the term that shrinks the last dimensions; 0 and nobody prunes.
    pub lambda: f64,
    #[serde(skip)]
    sites: Sites,
    /// What the clients have pruned themselves to.
    #[serde(skip)]
    pruned: BTreeMap<usize, usize>,
    /// Weighted by norms, and for a round in which all products are zero, evenly.
    #[serde(skip)]
    means: [Mean; 2],
}

impl Default for HetLora {
    fn default() -> Self {
        Self {
            ranks: Vec::new(),
            gamma: 0.99,
            lambda: 1e-3,
            sites: Sites::default(),
            pruned: BTreeMap::new(),
            means: Default::default(),
        }
    }
}

impl HetLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("hetlora", given)?;
        check_ranks("hetlora", &method.ranks)?;
        keys::share("hetlora", "gamma", method.gamma)?;
        keys::not_negative("hetlora", "lambda", method.lambda)?;
        Ok(Box::new(method))
    }

    fn kept(&self, rank: usize) -> usize {
        ((rank as f64 * self.gamma) as usize).clamp(1, rank)
    }

    /// `||B[:, g r:]|| ||A[g r:, :]||`, a scalar, or nothing if all is kept.
    fn tail(&self, pair: &Pair) -> Result<Option<Tensor>> {
        let rank = pair.rank()?;
        let kept = self.kept(rank);
        if kept == rank {
            return Ok(None);
        }
        let norm = |x: Tensor| (x.sqr()?.sum_all()? + TINY)?.sqrt();
        let (a, b) = (pair.a.narrow(0, kept, rank - kept)?, pair.b.narrow(1, kept, rank - kept)?);
        Ok(Some((norm(a)? * norm(b)?)?))
    }

    fn tails(&self, set: &Adapters) -> Result<Option<Tensor>> {
        let tails = self.sites.pairs(set)?.iter().map(|pair| self.tail(pair)).collect::<Result<Vec<_>>>()?;
        let tails: Vec<Tensor> = tails.into_iter().flatten().collect();
        Ok(if tails.is_empty() { None } else { Some(Tensor::stack(&tails, 0)?.sum_all()?) })
    }
}

/// The set of what the clients have pruned themselves to.
const RANKS: &str = "ranks";

/// Keeps the norm of zeros differentiable.
const TINY: f64 = 1e-12;

impl Objective for &HetLora {
    fn loss(&mut self, loss: Tensor, trained: &Adapters) -> Result<Tensor> {
        match self.tails(trained)? {
            Some(tails) if self.lambda > 0.0 => Ok((loss + (tails * self.lambda)?)?),
            _ => Ok(loss),
        }
    }
}

impl Method for HetLora {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn send(&self, client: usize, global: &Adapters, _round: Round) -> Result<Sets> {
        let rank = self.pruned.get(&client).copied().unwrap_or(rank_of(&self.ranks, client, self.sites.spec()?));
        Ok(Sets::default().with(ADAPTERS, self.sites.map(global, |pair| pair.first(rank))?))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let start = received.get(ADAPTERS)?;
        let fit = client.fit(start, &mut &*self)?;
        let length = |set: &Adapters| -> Result<Option<f64>> {
            let tails = self.tails(set)?.map(|tails| tails.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>());
            Ok(tails.transpose()?)
        };
        let shrank = match (length(start)?, length(&fit.adapters)?) {
            (Some(before), Some(after)) => after < before,
            _ => false,
        };
        let adapters = if self.lambda > 0.0 && shrank {
            self.sites.map(&fit.adapters, |pair| pair.first(self.kept(pair.rank()?)))?
        } else {
            fit.adapters
        };
        Ok(client.update(fit.work).with(ADAPTERS, adapters))
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        let rank = self.sites.spec()?.rank;
        let sent = update.set(ADAPTERS)?;
        let pairs = self.sites.pairs(sent)?;
        let own = pairs.first().ok_or_else(|| Error::Usage("adapters without a site have no rank".into()))?.rank()?;
        self.pruned.insert(update.client, own);
        let padded = self.sites.map(sent, |pair| pair.padded(rank))?;
        let [by_norm, even] = &mut self.means;
        by_norm.add(&padded, norm_of_products(&pairs)?)?;
        even.add(&padded, 1.0)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let [by_norm, even] = &mut self.means;
        let ((by_norm, norms), even) = (by_norm.take_weighed()?, even.take()?);
        Ok(if norms > 0.0 { by_norm } else { even })
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }

    /// The clients' ranks, each under its id.
    fn state(&self) -> Result<Sets> {
        let mut ranks = Adapters::default();
        for (client, rank) in &self.pruned {
            ranks.insert(client.to_string(), Tensor::new(*rank as u32, &Device::Cpu)?);
        }
        Ok(Sets::default().with(RANKS, ranks))
    }

    fn resume(&mut self, mut state: Sets) -> Result<()> {
        for (client, rank) in state.take(RANKS).unwrap_or_default().iter() {
            let client = client.parse().map_err(|_| Error::Usage(format!("rank of client `{client}`: expected its number")))?;
            self.pruned.insert(client, rank.to_scalar::<u32>()? as usize);
        }
        state.nothing_left()
    }
}

/// The Frobenius norm of all sites' products together.
fn norm_of_products(pairs: &[Pair]) -> Result<f64> {
    let mut squares = 0.0;
    for pair in pairs {
        squares += pair.product()?.to_dtype(candle_core::DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(squares.sqrt())
}
