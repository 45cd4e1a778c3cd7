/// Which part of a model a process holds: split training cuts it in front of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Half {
    /// All of it.
    #[default]
    Whole,
    /// Tower, connector and token embedding.
    Client,
    /// The decoder: its blocks, last norm and head.
    Decoder,
}

impl Half {
    /// Whether it has what clients have.
    pub fn is_clients(self) -> bool {
        self != Self::Decoder
    }

    /// Whether it has the decoder.
    pub fn is_decoders(self) -> bool {
        self != Self::Client
    }
}
