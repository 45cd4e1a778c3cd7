//! Floating-point operations of training, from shapes; a multiplication and an addition are two.
//!
//! What one pass of a sequence of `t` tokens takes (image tokens included, padding not):
//!
//! | part | forward | backward |
//! |---|---|---|
//! | the decoder's linear layers, `n` weights | `2 n t` | `2 n t`: frozen weights need the gradient of what enters them, and no other |
//! | attention of a layer, queries of width `d_q` | `4 d_q` for each of the `t (t + 1) / 2` pairs that a causal mask leaves; in an encoder, for all pairs of a pass | twice that |
//! | an encoder's pooler of `n` weights, in each pass | `2 n` | `2 n` |
//! | the head of words, at the `r` places that are read | `2 d V r` | `2 d V r` |
//! | an adapter of `p` parameters, at its tokens | `2 p` a token | `4 p` a token: its own gradient too |
//! | a trained head of `p` parameters, at the places that are read | `2 p` a place | `4 p` a place |
//! | the connector, where an adapter attaches to it | `2` a weight and image token | the same |
//!
//! An image passes through the frozen tower once in a run, because its features can be kept ([`Spec::image_flops`]). Norms,
//! activations, rotations, look-ups, optimizer, aggregation and evaluation are not counted. This is what the mathematics asks for, not
//! what a processor did: kernels that skip what nobody reads, or compute something twice, change the time and not this count.

use schema::Placement;
use serde::{Deserialize, Serialize};

use crate::Sequence;
use crate::adapter::{AdapterSpec, Head};
use crate::sites::{CONNECTOR, PROJECTIONS, SiteSpec, Spec};

/// Operations on both sides of where split training cuts a model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Flops {
    /// Before the decoder: tower, connector, and the adapters there.
    pub before_decoder: f64,
    /// The decoder, and the adapters in it.
    pub decoder: f64,
}

impl std::ops::AddAssign for Flops {
    fn add_assign(&mut self, other: Self) {
        self.before_decoder += other.before_decoder;
        self.decoder += other.decoder;
    }
}

impl Flops {
    /// What clients compute, and what the server does.
    pub fn by_side(self, placement: Placement) -> [f64; 2] {
        match placement {
            Placement::Server => [0.0, self.before_decoder + self.decoder],
            Placement::Split => [self.before_decoder, self.decoder],
            Placement::Client => [self.before_decoder + self.decoder, 0.0],
        }
    }
}

/// A batch of training sequences through the model: forward, and backward if there is one.
pub fn passes(sequences: &[&Sequence], spec: &Spec, adapter: &AdapterSpec) -> [Flops; 2] {
    let sum = |of: &dyn Fn(&Sequence) -> usize| sequences.iter().map(|sequence| of(sequence)).sum::<usize>() as f64;
    let tokens = sum(&Sequence::len);
    let image_tokens = sum(&|sequence| sequence.images.len() * spec.image_tokens);
    let read = sum(&Sequence::num_targets);
    let (pairs, head) = match &spec.encoder {
        // Its passes are about equally long.
        Some(encoder) => {
            let passes = encoder.pictures.max(1);
            (sum(&|sequence| sequence.len().pow(2) / passes), encoder.pooler as f64 * passes as f64 * read)
        }
        None => (sum(&|sequence| sequence.len() * (sequence.len() + 1) / 2), (spec.d_model * spec.vocabulary) as f64 * read),
    };
    let trained_head = adapter.head.as_ref().map_or(0, Head::parameters) as f64 * read;

    let weights = |site: &SiteSpec| (site.d_in * site.d_out) as f64;
    let linear = tokens * spec.sites.iter().filter(|site| PROJECTIONS.contains(&site.group.as_str())).map(weights).sum::<f64>();
    let queries = spec.sites.iter().filter(|site| site.group == "q_proj").map(|site| site.d_out as f64).sum::<f64>();
    let at_site = |site: &SiteSpec| match site.group.as_str() {
        "image" | CONNECTOR => image_tokens,
        "text" => tokens - image_tokens,
        "prompt" => 0.0,
        _ => tokens,
    };
    let adapters = |before_decoder: bool| -> f64 {
        let sites = adapter.sites.iter().filter(|site| site.before_decoder == before_decoder);
        sites.map(|site| adapter.parameters_at(site) as f64 * at_site(site)).sum()
    };
    let rerun = if adapter.reaches_connector() { spec.parameters.connector as f64 * image_tokens } else { 0.0 };

    let pass = |of_attention: f64, of_adapters: f64| Flops {
        before_decoder: 2.0 * rerun + of_adapters * adapters(true),
        decoder: 2.0 * (linear + head) + of_attention * queries * pairs + of_adapters * (adapters(false) + trained_head),
    };
    [pass(4.0, 2.0), pass(8.0, 4.0)]
}

#[cfg(test)]
mod tests {
    use schema::experiment::AdapterConfig;

    use super::*;
    use crate::Branch;

    /// LLaVA-1.5-7B: 32 layers of 4 x 4096 x 4096 and 3 x 4096 x 11008 weights, a head of 4096 x 32064; one image (576 tokens), 24
    /// more tokens that enter, and an answer of 4 that is read.
    #[test]
    fn a_sequence_through_llava_7b() {
        let spec = crate::spec("llava-1.5-7b").expect("known");
        let prefix = vec![1; 576 + 21];
        let sequence = Sequence { prefix, images: vec![0], branches: vec![Branch::answer(vec![5; 4])] };
        let adapter = |kind: &str, rank: usize| {
            let config = AdapterConfig { kind: Some(kind.into()), rank: Some(rank), ..AdapterConfig::default() };
            AdapterSpec::resolve(&config, kind, &spec).expect("resolves")
        };
        let decoder = 2.0 * (6_476_005_376.0 * 600.0 + 4096.0 * 32_064.0 * 4.0);
        let attention = 4.0 * 32.0 * 4096.0 * (600.0 * 601.0 / 2.0);
        // Two NanoAdapters of 2 x 4096 x 64: one for image tokens, one for text.
        let [forward, backward] = passes(&[&sequence], &spec, &adapter("nano", 64));
        let of_adapters = 2.0 * 524_288.0 * 600.0;
        assert_eq!(forward, Flops { before_decoder: of_adapters, decoder: decoder + attention });
        assert_eq!(backward, Flops { before_decoder: 2.0 * of_adapters, decoder: decoder + 2.0 * attention });
        // LoRA of rank 8 at two projections of every layer: 32 x 2 x 2 x 4096 x 8.
        let [forward, _] = passes(&[&sequence], &spec, &adapter("lora", 8));
        let expect = decoder + attention + 2.0 * 4_194_304.0 * 600.0;
        assert_eq!(forward, Flops { before_decoder: 0.0, decoder: expect });
        assert_eq!(forward.by_side(Placement::Client), [expect, 0.0]);
        assert_eq!(Flops { before_decoder: 1.0, decoder: 2.0 }.by_side(Placement::Split), [1.0, 2.0]);
    }

    /// CLIP ViT-L/14-336 up to its last block but one (577 tokens of width 1024), and a connector of 1024 x 4096 and 4096 x 4096.
    #[test]
    fn an_image_through_llava_7b() {
        let block = 577.0 * 2.0 * 12.0 * 1024.0 * 1024.0 + 4.0 * 577.0 * 577.0 * 1024.0;
        let patches = 576.0 * 2.0 * 3.0 * 14.0 * 14.0 * 1024.0;
        let connector = 576.0 * 2.0 * (1024.0 * 4096.0 + 4096.0 * 4096.0);
        let spec = crate::spec("llava-1.5-7b").expect("known");
        assert_eq!(spec.image_flops, 23.0 * block + patches + connector);
    }
}
