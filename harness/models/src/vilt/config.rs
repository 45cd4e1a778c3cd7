//! ViLT's shapes, and its rows among the backbones.

use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::nn::Activation;
use crate::sites::{CLASSES, Encoder, FFN, HeadTensor, Start};
use crate::text::ChatFormat;
use crate::vit::{self, BlockConfig};
use crate::{ComponentParameters, Result, SiteSpec, Spec};

/// `config.json` in Hugging Face's layout. A key that is not there has transformers' default, which is ViLT-B/32's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViltConfig {
    /// Which architecture it is.
    pub model_type: String,
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Rows of BERT's segment embedding, of which the first is used.
    pub type_vocab_size: usize,
    /// Rows of the modality embedding: text, a picture, a second picture.
    pub modality_type_vocab_size: usize,
    /// Tokens of a text at most, its two marks included.
    pub max_position_embeddings: usize,
    /// Width d.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the FFN.
    pub intermediate_size: usize,
    /// The FFN's activation.
    pub hidden_act: Activation,
    /// Floor of the layer norms.
    pub layer_norm_eps: f64,
    /// Pixels on a side of the square whose patches have positions of their own; those of others are interpolated.
    pub image_size: usize,
    /// Pixels on a side of a patch.
    pub patch_size: usize,
    /// Channels of a picture.
    pub num_channels: usize,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Beyond this, transformers draws patches by chance; any number with -1.
    pub max_image_length: i64,
    /// Pictures of an example, where it is not one at most.
    pub num_images: i64,
}

impl Default for ViltConfig {
    fn default() -> Self {
        Self {
            model_type: "vilt".into(),
            vocab_size: 30_522,
            type_vocab_size: 2,
            modality_type_vocab_size: 2,
            max_position_embeddings: 40,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-12,
            image_size: 384,
            patch_size: 32,
            num_channels: 3,
            qkv_bias: true,
            max_image_length: -1,
            num_images: -1,
        }
    }
}

/// More pictures than any task of ViLT's has.
const MAX_PICTURES: i64 = 8;

/// More text than any of its tasks has, marks included.
const MAX_TEXT: usize = 4096;

/// Floor of the norm in the head, PyTorch's.
pub(super) const HEAD_EPS: f64 = 1e-5;

impl ViltConfig {
    /// A folder's config.
    pub fn of(folder: &Folder) -> Result<Self> {
        folder.config(Self::unsupported)
    }

    /// What this code cannot run, if anything.
    fn unsupported(&self) -> Option<String> {
        let table = "config";
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("type_vocab_size", self.type_vocab_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
        ];
        vit::positive(table, &sizes)
            .or_else(|| self.block().unsupported(table))
            .or_else(|| (self.patch_size > self.image_size).then(|| format!("patch_size {} beyond image_size", self.patch_size)))
            .or_else(|| (self.num_channels != 3).then(|| format!("num_channels {} (3 are read)", self.num_channels)))
            .or_else(|| {
                (!(3..=MAX_TEXT).contains(&self.max_position_embeddings))
                    .then(|| format!("max_position_embeddings {} (3 to {MAX_TEXT})", self.max_position_embeddings))
            })
            .or_else(|| {
                (!(2..=64).contains(&self.modality_type_vocab_size))
                    .then(|| format!("modality_type_vocab_size {} (2 to 64)", self.modality_type_vocab_size))
            })
            .or_else(|| {
                (self.num_images > MAX_PICTURES).then(|| format!("num_images {} (at most {MAX_PICTURES})", self.num_images))
            })
    }

    pub(super) fn block(&self) -> BlockConfig {
        BlockConfig {
            d: self.hidden_size,
            hidden: self.intermediate_size,
            heads: self.num_attention_heads,
            eps: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }

    /// Patches of a row of the square picture.
    pub(super) fn side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Pictures of an example: one at most, or exactly so many.
    pub(super) fn pictures(&self) -> usize {
        usize::try_from(self.num_images).unwrap_or(1).max(1)
    }

    /// Rows of the modality embedding, copies included.
    pub(super) fn modalities(&self) -> usize {
        self.modality_type_vocab_size.max(1 + self.pictures())
    }

    pub(super) fn encoder(&self) -> Encoder {
        Encoder {
            pictures: self.pictures(),
            picture_tokens: self.side().pow(2) + 1,
            text_tokens: self.max_position_embeddings,
            pooler: (self.hidden_size as u64).pow(2),
        }
    }

    /// What enters the head, and its inner width.
    pub(super) fn head_widths(&self) -> [usize; 2] {
        let width = self.pictures() * self.hidden_size;
        [width, if self.pictures() == 1 { 2 * width } else { width }]
    }

    fn head(&self) -> Vec<HeadTensor> {
        let [entering, inner] = self.head_widths();
        let bound = |width: usize| Start::Uniform((width as f64).powf(-0.5));
        let tensor = |name: &str, shape: &[usize], start, per_class| HeadTensor {
            name: name.into(),
            shape: shape.to_vec(),
            start,
            per_class,
        };
        vec![
            tensor("0.weight", &[inner, entering], bound(entering), false),
            tensor("0.bias", &[inner], bound(entering), false),
            tensor("1.weight", &[inner], Start::Ones, false),
            tensor("1.bias", &[inner], Start::Zeros, false),
            tensor("3.weight", &[CLASSES, inner], bound(inner), true),
            tensor("3.bias", &[CLASSES], bound(inner), true),
        ]
    }

    fn sites(&self) -> Vec<SiteSpec> {
        let (d, hidden) = (self.hidden_size, self.intermediate_size);
        let of_block = |layer: usize| {
            let at = move |group: &str, d_in: usize, d_out: usize| SiteSpec {
                name: format!("layers.{layer}.{group}"),
                group: group.into(),
                d_in,
                d_out,
                before_decoder: false,
            };
            let square = ["q_proj", "k_proj", "v_proj", "o_proj"].map(|group| at(group, d, d));
            square.into_iter().chain([at("up_proj", d, hidden), at("down_proj", hidden, d), at(FFN, d, d)])
        };
        (0..self.num_hidden_layers).flat_map(of_block).collect()
    }

    /// Parameters by component: patches, positions, modalities and class token; the text's embeddings; blocks, norm and pooler.
    fn parameters(&self) -> ComponentParameters {
        let [d, patch] = [self.hidden_size, self.patch_size].map(|size| size as u64);
        let positions = self.side().pow(2) as u64 + 1;
        let rows = (self.vocab_size + self.max_position_embeddings + self.type_vocab_size) as u64;
        let without_bias = if self.qkv_bias { 0 } else { 3 * d };
        ComponentParameters {
            vision: 3 * patch * patch * d + d + d + positions * d + self.modalities() as u64 * d,
            connector: 0,
            embedding: rows * d + 2 * d,
            decoder: self.num_hidden_layers as u64 * (self.block().parameters() - without_bias) + 2 * d + d * d + d,
        }
    }

    /// Shapes, counts and sites. A square is a patch: one token, and one more for the class token of a picture.
    pub fn spec(&self, name: &str) -> Spec {
        let patch = (3 * self.patch_size.pow(2)) as f64;
        Spec {
            name: name.into(),
            parameters: self.parameters(),
            d_model: self.hidden_size,
            layers: self.num_hidden_layers,
            vocabulary: self.vocab_size,
            image_tokens: 1,
            image_flops: 2.0 * patch * self.hidden_size as f64,
            bytes_per_number: 4,
            sites: self.sites(),
            head: self.head(),
            encoder: Some(self.encoder()),
        }
    }
}

/// How BERT's tokenizer marks a text; a picture's tokens stand before it, which an encoder does not mind. `[MASK]` is their placeholder,
/// as no text from outside holds it.
pub(super) fn chat() -> ChatFormat {
    ChatFormat {
        turn: "{images}[CLS]{prompt}[SEP]".into(),
        image: "[MASK]".into(),
        before_image: String::new(),
        after_image: String::new(),
        turn_without_images: None,
        answer: String::new(),
        answer_lead: String::new(),
        end: "[SEP]".into(),
        begin: None,
        joined: false,
    }
}

#[cfg(test)]
mod tests {
    use schema::experiment::AdapterConfig;

    use super::*;
    use crate::adapter::AdapterSpec;

    /// ViLT-B/32 as FedDAT has it: the model, with a third modality row, a head for 100 answers, and a copy of its adapters.
    #[test]
    fn vilt_b32_is_counted() {
        let spec = ViltConfig::default().spec("b32");
        assert_eq!(spec.parameters.total(), 111_595_008);
        let two = ViltConfig { num_images: 2, ..ViltConfig::default() };
        assert_eq!(two.spec("two").parameters.total(), 111_595_008 + 768);
        let resolve = |classes, spec: &Spec| {
            let config = AdapterConfig { classes, ..AdapterConfig::default() };
            AdapterSpec::resolve(&config, "bottleneck", spec)
        };
        let adapter = resolve(None, &spec).expect("resolves");
        assert_eq!((adapter.rank, adapter.set_parameters()), (48, 894_528));
        assert_eq!(adapter.parameters() - adapter.set_parameters(), 1_337_956);
        let ten = resolve(Some(10), &spec).expect("resolves");
        assert_eq!(adapter.parameters() - ten.parameters(), 90 * 1537);
        let lora = AdapterSpec::resolve(&AdapterConfig::default(), "lora", &spec).expect("resolves");
        assert_eq!(lora.set_parameters(), 12 * 2 * 2 * 768 * 8);
        let refused = |result: Result<AdapterSpec>| result.expect_err("refused").to_string();
        assert!(refused(resolve(Some(1), &spec)).starts_with("adapter.classes = 1: expected 2 to"));
        let nano = crate::spec("nano").expect("known");
        assert!(refused(resolve(Some(10), &nano)).contains("backbone `nano` answers in words; leave the key out"));
        let error = refused(AdapterSpec::resolve(&AdapterConfig::default(), "nano", &spec));
        assert!(error.contains("has no image, text; adapter kinds `lora` and `bottleneck` attach to an encoder"), "{error}");
    }
}
