//! FedAvg (McMahan et al., arXiv 1602.05629) on adapters: `theta = sum_k n_k/n theta_k`, every tensor by itself.
//!
//! On LoRA this is FedIT (Zhang et al., arXiv 2305.05644): A and B are averaged separately, so the product is not the average of
//! the products; that inexactness belongs to the method.

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{Client, Method, Plain, Update, aggregate};

/// The data-weighted mean of the clients' adapters.
pub struct FedAvg;

impl Method for FedAvg {
    fn train(&self, client: &mut Client, global: &Adapters) -> Result<Update> {
        let fit = client.fit(global, &mut Plain)?;
        Ok(Update::new(client, &fit).with("adapters", fit.adapters))
    }

    fn aggregate(&mut self, _global: &Adapters, updates: &[Update]) -> Result<Adapters> {
        aggregate::weighted_mean(updates, "adapters", &aggregate::data_weights(updates))
    }
}
