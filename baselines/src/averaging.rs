//! The server half that most methods share: the weighted mean of the adapters that clients send.
//!
//! A paper that keeps FedAvg's server, or goes on from its mean, is an [`Averaging`] with what it adds; [`Averaged`] is the method.

use std::collections::BTreeMap;

use federation::Result;
use federation::aggregate::Mean;
use federation::registry::keys_of;
use federation::{ADAPTERS, Client, Method, Objective, Plain, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use schema::metrics::Variant;
use serde::Serialize;
use serde_json::Value;

use crate::weights::Weights;

/// What a paper adds to FedAvg (McMahan et al., arXiv 1602.05629); serialized, it is its own config. What has the name of a step of
/// [`Method`] is that step.
pub trait Averaging: Serialize + Send + Sync + Sized + 'static {
    /// How much each client counts.
    fn weights(&self) -> Weights;

    /// As [`Method::start`].
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        let _ = spec;
        initial
    }

    /// As [`Method::send`], the same for every client.
    fn send(&self, global: &Adapters, round: Round) -> Result<Sets> {
        let _ = round;
        Ok(Sets::default().with(ADAPTERS, global.clone()))
    }

    /// As [`Method::train`]. The default tunes what was received by the plain loss.
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    /// As [`Method::sends`], in the rounds that are shared.
    fn sends(&self) -> &'static [&'static str] {
        &[ADAPTERS]
    }

    /// What the server keeps of an update beside its share in the mean. The default keeps nothing.
    fn notice(&mut self, update: &Update, global: &Adapters, round: Round) -> Result<()> {
        let _ = (update, global, round);
        Ok(())
    }

    /// The next global adapters, given the mean of what was sent. The default is the mean.
    fn next(&mut self, mean: Adapters, global: &Adapters) -> Result<Adapters> {
        let _ = global;
        Ok(mean)
    }

    /// Whether a round has anything to average; where it has not, the global adapters stay as they are.
    fn is_shared(&self, round: Round) -> bool {
        let _ = round;
        true
    }

    /// As [`Method::state`].
    fn state(&self) -> Result<Sets> {
        Ok(Sets::default())
    }

    /// As [`Method::resume`].
    fn resume(&mut self, state: Sets) -> Result<()> {
        state.nothing_left()
    }

    /// As [`Method::looks_ahead`].
    fn looks_ahead(&self) -> bool {
        false
    }

    /// As [`Method::personalize`].
    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        let _ = (client, global);
        Ok(None)
    }

    /// As [`Method::variants`].
    fn variants(&self, client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        let _ = (client, global);
        Ok(Vec::new())
    }

    /// With the server half: a whole method.
    fn averaged(self) -> Box<dyn Method> {
        Box::new(Averaged { paper: self, mean: Mean::default() })
    }
}

/// The received adapters, tuned and sent back.
pub(crate) fn tuned(client: &mut Client, received: &Sets, objective: &mut dyn Objective) -> Result<Update> {
    let fit = client.fit(received.get(ADAPTERS)?, objective)?;
    Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
}

/// What a paper adds, and the running mean.
struct Averaged<P> {
    paper: P,
    mean: Mean,
}

impl<P: Averaging> Method for Averaged<P> {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.paper.start(initial, spec)
    }

    fn send(&self, _client: usize, global: &Adapters, round: Round) -> Result<Sets> {
        self.paper.send(global, round)
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        self.paper.train(client, received)
    }

    fn sends(&self, round: Round) -> &'static [&'static str] {
        if self.paper.is_shared(round) { self.paper.sends() } else { &[] }
    }

    fn receive(&mut self, update: Update, global: &Adapters, round: Round) -> Result<()> {
        if !self.paper.is_shared(round) {
            return Ok(());
        }
        self.paper.notice(&update, global, round)?;
        self.mean.add(update.set(ADAPTERS)?, self.paper.weights().of_one(&update))
    }

    fn aggregate(&mut self, global: &Adapters, round: Round) -> Result<Adapters> {
        if !self.paper.is_shared(round) {
            return Ok(global.clone());
        }
        self.paper.next(self.mean.take()?, global)
    }

    fn state(&self) -> Result<Sets> {
        self.paper.state()
    }

    fn resume(&mut self, state: Sets) -> Result<()> {
        self.paper.resume(state)
    }

    fn looks_ahead(&self) -> bool {
        self.paper.looks_ahead()
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        self.paper.personalize(client, global)
    }

    fn variants(&self, client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        self.paper.variants(client, global)
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(&self.paper)
    }
}
