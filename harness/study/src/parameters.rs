//! What a client stores and uploads, in two ledgers.
//!
//! *paper*: parameters as FedNano's table counts them (arXiv 2506.14824): a NanoEdge client is the vision tower and its
//! NanoAdapters. *deployed*: everything a client must hold to do its work: the connector and, to adapt text tokens, the token
//! embedding too.

use models::Spec;
use models::adapter::AdapterSpec;
use schema::Placement;
use serde::Serialize;

/// A client's storage in both ledgers, in parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClientParameters {
    /// As FedNano's table counts.
    pub paper: u64,
    /// What a deployment must hold.
    pub deployed: u64,
}

/// What a client stores under a placement.
pub fn client_parameters(backbone: &Spec, adapter: &AdapterSpec, placement: Placement) -> ClientParameters {
    let (frozen, adapters) = (&backbone.parameters, adapter.parameters());
    match placement {
        Placement::Server => ClientParameters { paper: 0, deployed: 0 },
        Placement::Client => ClientParameters { paper: frozen.total() + adapters, deployed: frozen.total() + adapters },
        Placement::Split => ClientParameters {
            paper: frozen.vision + adapters,
            deployed: frozen.vision + frozen.connector + frozen.embedding + adapters,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::experiment::AdapterConfig;

    fn adapter(kind: &str, rank: usize, sites: Option<Vec<String>>, spec: &Spec) -> AdapterSpec {
        let config = AdapterConfig { kind: Some(kind.into()), rank: Some(rank), sites, ..AdapterConfig::default() };
        AdapterSpec::resolve(&config, kind, spec).expect("resolves")
    }

    /// The anchors of FedNano's storage table on LLaVA-1.5-7B.
    #[test]
    fn llava_7b_anchors() {
        let spec = models::spec("llava-1.5-7b").expect("known");
        let nano = adapter("nano", 64, None, &spec);
        assert_eq!(nano.parameters(), 1_048_576);
        let all = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"].map(String::from).to_vec();
        assert_eq!(adapter("lora", 64, Some(all), &spec).parameters(), 159_907_840);
        // FedDAT's placement: reduction 16 behind all 32 FFNs, biases included.
        let config = AdapterConfig::default();
        assert_eq!(AdapterSpec::resolve(&config, "bottleneck", &spec).expect("resolves").parameters(), 67_248_128);
        let stored = client_parameters(&spec, &nano, Placement::Split);
        assert_eq!(stored.paper, 304_556_032);
        assert_eq!(stored.deployed, 303_507_456 + 20_979_712 + 32_064 * 4096 + 1_048_576);
    }
}
