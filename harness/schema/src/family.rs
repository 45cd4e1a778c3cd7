//! What kind of method one is: the order in which reports list them, and what they draw alike.

use serde::Serialize;

/// A kind of method, in the order of reports: references from below, federated methods, references from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Trains nothing.
    ZeroShot,
    /// Trains each client by itself.
    Local,
    /// FedAvg, whom the others are compared with.
    #[serde(rename = "fedavg")]
    FedAvg,
    /// Any other method that federates.
    Federated,
    /// Trains on all clients' examples at one place.
    Centralized,
}

impl Family {
    /// What a picture's legend calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Local => "local",
            Self::FedAvg => "FedAvg",
            Self::Federated => "other federated",
            Self::Centralized => "centralized",
        }
    }
}
