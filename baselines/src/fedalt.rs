//! FedALT (Bian et al., AAAI 2026, public code jmbian/FedALT): every client has a pair of its own and beside it the rest of the world's,
//! the mean of the other clients' pairs, which is frozen; a router weighs the two for each token,
//! `y = W x + s (g_0 B_0 A_0 x + g_1 B_1 A_1 x)`, `g = softmax(W_r x)`. Own pairs travel, routers stay; there is no global model.
//!
//! A client goes on from its own pair and router; what it receives never has its own pair in it. Routers start at zero, so that both
//! pairs count alike (the public code draws them). Until others have sent something the rest of the world is a fresh pair, which adds
//! nothing.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use federation::aggregate::Mean;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Error, Method, Result, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use schema::metrics::Variant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pairs::{Sites, WithFrozen};
use crate::weights::Weights;

/// Pairs of one's own, and the rest of the world's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedAlt {
    /// How much each of the others counts: `uniform` or `examples`.
    pub weights: Weights,
    /// What each client sent last, and its weight.
    #[serde(skip)]
    sent: BTreeMap<usize, (Adapters, f64)>,
    #[serde(skip)]
    initial: Adapters,
    #[serde(skip)]
    sites: Sites,
    /// Who has sent in this round.
    #[serde(skip)]
    arrived: BTreeMap<usize, (Adapters, f64)>,
}

impl Default for FedAlt {
    fn default() -> Self {
        let (sent, initial, sites, arrived) = Default::default();
        Self { weights: Weights::Uniform, sent, initial, sites, arrived }
    }
}

/// What a client keeps its pair and router under, and the rest of the world's pair.
const OWN: &str = "own";
const REST: &str = "rest";

/// The tensor of a client's weight among what it sent last.
const WEIGHT: &str = "weight";

impl FedAlt {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>("fedalt", given)?))
    }

    /// The mean of what all but one client sent last; the fresh pair where nobody else has.
    fn rest_of(&self, client: usize) -> Result<Adapters> {
        let mut mean = Mean::default();
        let mut others = self.sent.iter().filter(|(id, _)| **id != client).peekable();
        if others.peek().is_none() {
            return Ok(self.initial.clone());
        }
        others.try_for_each(|(_, (set, weight))| mean.add(set, *weight))?;
        mean.take()
    }
}

/// A client's own pair and router, as they start.
fn own(client: &Client) -> Result<Adapters> {
    if let Some(own) = client.memory.get(OWN) {
        return Ok(own.clone());
    }
    let (spec, mut own) = (client.spec(), client.initial());
    for (site, names) in spec.sites.iter().filter_map(|site| Some((site, spec.names(site)?))) {
        let Some(down) = own.get(&names[0]) else { continue };
        let router = Tensor::zeros((2, site.d_in), down.dtype(), down.device())?;
        own.insert(AdapterSpec::router_name(site), router);
    }
    Ok(own)
}

/// What travels of a client's own: no router.
fn pairs(spec: &AdapterSpec, own: &Adapters) -> Adapters {
    let routers: Vec<String> = spec.sites.iter().map(AdapterSpec::router_name).collect();
    own.filter(|name| !routers.iter().any(|router| router == name))
}

/// The rest of the world's pairs, under the names of second pairs.
fn beside(spec: &AdapterSpec, rest: &Adapters) -> Adapters {
    let mut found = Adapters::default();
    for site in &spec.sites {
        for (name, second) in spec.names(site).into_iter().flatten().zip(spec.second_names(site).into_iter().flatten()) {
            rest.get(&name).into_iter().for_each(|tensor| found.insert(second.clone(), tensor.clone()));
        }
    }
    found
}

impl Method for FedAlt {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        (self.initial, self.sites) = (initial.clone(), Sites::of(spec));
        initial
    }

    fn send(&self, client: usize, global: &Adapters, _round: Round) -> Result<Sets> {
        let rest = self.rest_of(client)?.with(&self.sites.spec()?.head_of(global));
        Ok(Sets::default().with(ADAPTERS, rest))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let (spec, rest) = (client.spec(), received.get(ADAPTERS)?);
        let start = own(client)?.with(&spec.head_of(rest));
        let fit = client.fit(&start, &mut WithFrozen(beside(spec, rest)))?;
        client.memory.insert(OWN.into(), fit.adapters.clone());
        client.memory.insert(REST.into(), rest.clone());
        Ok(client.update(fit.work).with(ADAPTERS, pairs(spec, &fit.adapters)))
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        let weight = self.weights.of_one(&update);
        self.arrived.insert(update.client, (update.set(ADAPTERS)?.clone(), weight));
        Ok(())
    }

    /// The mean of all that arrived: nobody receives its pairs, but a shared head does travel.
    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let (arrived, mut mean) = (std::mem::take(&mut self.arrived), Mean::default());
        arrived.values().try_for_each(|(set, weight)| mean.add(set, *weight))?;
        self.sent.extend(arrived);
        mean.take()
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        let spec = client.spec();
        let rest = client.recall(REST, || client.initial());
        Ok(Some(own(client)?.with(&beside(spec, &rest)).with(&spec.head_of(global))))
    }

    fn variants(&self, client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        let spec = client.spec();
        Ok(vec![(Variant::Shared, global.clone()), (Variant::Local, pairs(spec, &own(client)?).with(&spec.head_of(global)))])
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }

    /// What each client sent last, under its id, with its weight as one more tensor.
    fn state(&self) -> Result<Sets> {
        let mut state = Sets::default();
        for (client, (sent, weight)) in &self.sent {
            let mut sent = sent.clone();
            sent.insert(WEIGHT.into(), Tensor::new(*weight, &Device::Cpu)?);
            state = state.with(&client.to_string(), sent);
        }
        Ok(state)
    }

    fn resume(&mut self, state: Sets) -> Result<()> {
        for (client, sent) in state.iter() {
            let wrong = || Error::Usage(format!("what client `{client}` sent last: expected its number, and its weight with it"));
            let (id, weight) = client.parse().ok().zip(sent.get(WEIGHT)).ok_or_else(wrong)?;
            self.sent.insert(id, (sent.filter(|name| name != WEIGHT), weight.to_scalar()?));
        }
        Ok(())
    }
}
