//! What is known of a backbone without its weights: shapes, counts, and the sites where an adapter may attach.

use serde::Serialize;

/// The decoder projections an adapter may attach to, by the names a config uses.
pub const PROJECTIONS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// The residual stream behind a block's FFN, where a bottleneck adapter attaches.
pub const FFN: &str = "ffn";

/// The weights of norms that an adapter may change: before attention, before the FFN, and behind the last block.
pub const NORMS: [&str; 3] = ["input_layernorm", "post_attention_layernorm", FINAL_NORM];

/// The norm behind the last block: a group and a site.
pub const FINAL_NORM: &str = "norm";

/// The group of the sites at a connector's linear layers.
pub const CONNECTOR: &str = "connector";

/// A place where an adapter may attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteSpec {
    /// Its full name: `image`, `text`, `layers.<i>.q_proj`, ...
    pub name: String,
    /// The name a config selects it by: `image`, `text`, `q_proj`, ...
    pub group: String,
    /// Width of what enters.
    pub d_in: usize,
    /// Width of what leaves.
    pub d_out: usize,
    /// Whether it lies before the decoder, so that a client can hold it while the LLM stays on the server.
    pub before_decoder: bool,
}

/// A tensor of a head that is trained beside adapters ([`crate::adapter::Head`]).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadTensor {
    /// Its name in the head: `weight`, `bias`, ...
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it holds before training.
    pub start: Start,
    /// Whether its first side is the number of classes, which a config may change.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub per_class: bool,
}

/// Classes of a backbone that answers by them, without `adapter.classes`.
pub const CLASSES: usize = 100;

/// What is known of an encoder, which answers by the largest of its head's class logits and not in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Encoder {
    /// Pictures of an example: one at most; or, where it is more, exactly so many, each of which is seen with the text in a pass of its
    /// own.
    pub pictures: usize,
    /// Tokens that a square picture takes.
    pub picture_tokens: usize,
    /// Tokens of a text at most, the marks before and behind it included.
    pub text_tokens: usize,
    /// Weights that each pass's first state is pooled with.
    pub pooler: u64,
}

/// What a head's tensor holds before training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Zeros: a bias.
    Zeros,
    /// Ones: the weight of a norm.
    Ones,
    /// Numbers drawn uniformly from plus or minus this.
    Uniform(f64),
}

/// Parameters by component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ComponentParameters {
    /// The vision tower.
    pub vision: u64,
    /// The connector.
    pub connector: u64,
    /// The text-token embedding.
    pub embedding: u64,
    /// The rest of the decoder, an untied head included.
    pub decoder: u64,
}

impl ComponentParameters {
    /// The whole frozen model.
    pub fn total(&self) -> u64 {
        self.vision + self.connector + self.embedding + self.decoder
    }
}

/// What is known of a backbone without its weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spec {
    /// The name a user types.
    pub name: String,
    /// Parameters by component.
    pub parameters: ComponentParameters,
    /// The decoder's width d.
    pub d_model: usize,
    /// The decoder's blocks.
    pub layers: usize,
    /// Vocabulary.
    pub vocabulary: usize,
    /// Tokens of an image that is not cut, and of each square of one that is.
    pub image_tokens: usize,
    /// Floating-point operations of such a square on its way through tower and connector.
    pub image_flops: f64,
    /// Bytes of one number as it is held and as it crosses a link.
    pub bytes_per_number: usize,
    /// Where adapters may attach.
    pub sites: Vec<SiteSpec>,
    /// The tensors of a head that is trained beside them; empty where the model answers by words alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub head: Vec<HeadTensor>,
    /// Of a backbone that answers by class: an encoder, all of whose tokens see each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Encoder>,
}

impl Spec {
    /// Tokens of a picture that is not cut; of an encoder, whose pictures always are, those of a square one.
    pub fn picture_tokens(&self) -> usize {
        self.encoder.map_or(self.image_tokens, |encoder| encoder.picture_tokens)
    }
}
