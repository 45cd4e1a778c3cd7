//! Where a model lives, and whose examples a method trains on: words that the federation, its costs and reports share.

/// Whose examples a client trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Its own shard.
    Shard,
    /// All shards, pooled at the server: one trainer with every client's budget.
    Pooled,
    /// Nothing is trained.
    Nothing,
}

/// Where the parts of the model live, which decides what a client stores and what crosses the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Everything is at the server; clients hold no model.
    Server,
    /// Clients hold encoder, connector, token embedding and adapters; the LLM stays at the server (FedNano's NanoEdge).
    Split,
    /// Clients hold the whole model.
    Client,
}
